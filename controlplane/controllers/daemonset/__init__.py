"""One pod on every node that wants it."""
