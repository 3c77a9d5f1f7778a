"""The protocol described for people and machines: an AsyncAPI document, and the tables of docs/protocols."""
