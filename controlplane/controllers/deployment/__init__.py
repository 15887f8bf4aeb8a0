"""Rolls Deployments out: one ReplicaSet a pod template, scaled against each other."""
