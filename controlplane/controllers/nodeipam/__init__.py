"""Gives each node that has none its part of the pod network, and one that asks an address of the company LAN."""
