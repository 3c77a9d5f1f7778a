"""Trading state and kill switch."""
