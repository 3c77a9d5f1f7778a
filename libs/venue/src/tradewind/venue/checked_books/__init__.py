"""Market data of venues that stream their books with proof: what their adapters share."""
