"""FIX gateway: a client's own FIX engine trades through our risk and execution."""
