"""Pods that run until enough of them have succeeded: Jobs."""
