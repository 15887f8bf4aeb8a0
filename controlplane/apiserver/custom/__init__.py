"""Custom resources: kinds that CustomResourceDefinitions add while the server runs. Nothing is loaded before the first."""
