"""The controllers: each reconciles one kind towards what its spec asks."""
