"""Removes pods whose node is gone."""
