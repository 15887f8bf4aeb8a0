"""One company LAN over several machines: Ethernet frames between their bridges, over one mutual-TLS port."""
