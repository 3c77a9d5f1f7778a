"""Who comes in, what that person may do, and the audit of what was done."""
