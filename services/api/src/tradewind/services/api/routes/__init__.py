"""REST: the routes, the lists that they give, and the document that describes them."""
