"""The venue's FIX sessions: order entry and drop copy, 4.2 and 4.4, on the one exchange."""
