"""Sums up ClusterRoles from others: those with an aggregationRule."""
