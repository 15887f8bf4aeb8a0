"""The company's DNS server, a host of the LAN outside the cluster: what ExternalDNS and a BIND would be together."""
