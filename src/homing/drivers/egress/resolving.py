"""From a name to the addresses that are connected to: asked once for each connection, and every answer judged."""

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from homing.drivers.http.resolving import Resolve
from homing.ports.deliveries.egress import UrlRules


class LeadsAstray(OSError):
    """A name leads, with one of its addresses at least, to where nobody is called."""


class JudgedResolver(AbstractResolver):
    """Resolves for aiohttp's connector, which connects to one of the answers and asks nobody else.

    Of a name that leads to a public and to a private address neither is called: whoever set it up so is up to
    something.
    """

    def __init__(self, rules: UrlRules, resolve: Resolve) -> None:
        self._rules, self._resolve = rules, resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises LeadsAstray; socket.gaierror for a name that leads nowhere."""
        found = await self.addresses(host, port)
        return [_result(host, address, port) for address in found if family in (socket.AF_UNSPEC, _family(address))]

    async def addresses(self, host: str, port: int) -> list[str]:
        """All addresses of a name, each of which may be called. Raises like `resolve`."""
        found = await self._resolve(host)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address for this name")
        for address in found:
            if (why := self.refused(address, port)) is not None:
                raise LeadsAstray(f"{host} leads to {address}: {why}")
        return found

    def refused(self, address: str, port: int) -> str | None:
        """Why nobody is called at this address and port."""
        return self._rules.refused(address) or self._rules.loops(address, port, here=is_here(address))

    async def close(self) -> None:
        """Nothing is kept open."""


def is_here(address: str) -> bool:
    """Whether it is an address of this machine: what would be sent to it would come from it. Nothing is sent."""
    parsed = ipaddress.ip_address(address)
    if parsed.is_loopback or parsed.is_unspecified:
        return True
    with socket.socket(_family(address), socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((address, 9))
        except OSError:
            return False
        return ipaddress.ip_address(str(asking.getsockname()[0])) == parsed


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _result(host: str, address: str, port: int) -> ResolveResult:
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=_family(address), proto=0, flags=numeric)
