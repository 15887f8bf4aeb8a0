"""Hosts of a LAN that are alone on their machines or in their containers: how they start, and how they meet."""
