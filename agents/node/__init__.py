"""The steward and what it starts: nodes and hosts of the company LAN."""
