"""Publishes the cluster's CA in every namespace."""
