"""Keeps as many pods running as each ReplicaSet asks for."""
