"""ExternalDNS: what the cluster's objects ask for, written into a DNS server that takes updates (RFC 2136)."""
