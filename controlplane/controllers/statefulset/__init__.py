"""Pods with names, order and storage of their own: StatefulSets."""
