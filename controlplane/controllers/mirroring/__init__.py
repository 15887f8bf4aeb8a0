"""Slices for Endpoints that users keep themselves, for Services without selectors."""
