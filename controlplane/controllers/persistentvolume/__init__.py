"""Binds claims to volumes, provisions local folders, reclaims them, and protects both while in use."""
