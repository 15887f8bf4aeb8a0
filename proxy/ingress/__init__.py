"""The ingress controller: a pure route table, and a server that follows it."""
