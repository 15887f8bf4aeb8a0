"""The API server: one recipe for every write of every kind, over the store."""
