"""Notices nodes that fall silent, taints them and moves their pods."""
