"""What an exchange adapter must do, the adapters, and the matching engine."""
