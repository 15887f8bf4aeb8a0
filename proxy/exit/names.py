"""Names looked up at the company's DNS server, as every host of the LAN does."""

from __future__ import annotations

from ipaddress import IPv4Address

from panal.addresses import real_port

SECONDS = 5.0


class Unknown(Exception):
    """No address: the message says what the DNS said."""


class Names:
    """Addresses of hosts; `server` is asked, or the machine's own resolvers where there is none."""

    def __init__(self, server: str, port: int = 53) -> None:
        self._server = server
        self._port = real_port(port) if server.startswith("127.") else port

    async def address(self, host: str) -> str:
        """An IPv4 address of the host, which may be one itself. Raises Unknown."""
        try:
            return str(IPv4Address(host))
        except ValueError:
            pass
        import dns.asyncresolver
        import dns.exception

        resolver = dns.asyncresolver.Resolver(configure=not self._server)
        if self._server:
            resolver.nameservers, resolver.port = [self._server], self._port
        try:
            found = await resolver.resolve(host, "A", search=False, lifetime=SECONDS)
        except (dns.exception.DNSException, OSError) as error:
            raise Unknown(f"{host} has no address: {error}") from error
        return str(found[0])
