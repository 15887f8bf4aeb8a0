"""The company's forward proxy, a host of the LAN: the way out of it, for those who may go."""
