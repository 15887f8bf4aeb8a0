"""Custom resources: kinds that CustomResourceDefinitions add while the server runs."""
