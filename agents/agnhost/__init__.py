"""Panal's own test server, with the commands, flags, pages and words of Kubernetes' agnhost."""
