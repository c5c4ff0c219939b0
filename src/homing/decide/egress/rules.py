"""May we call this URL for a customer? The whole judgment, before its name is asked for and after."""

from dataclasses import dataclass, field

from homing.decide.egress.addresses import PublicOnly
from homing.decide.egress.reading import customer_url
from homing.model.deliveries.egress import CustomerUrl, UrlRefused


@dataclass(frozen=True, slots=True)
class EgressRules:
    """Public addresses and allowed networks, and never ourselves.

    `own` are the hosts and ports under which we are reached, by whatever name; `own_port` is where we listen on each
    address of this machine.
    """

    addresses: PublicOnly = field(default_factory=PublicOnly)
    own: frozenset[tuple[str, int]] = frozenset()
    own_port: int = 0

    def read(self, text: str) -> CustomerUrl:
        """Its parts. Raises UrlRefused for what cannot be called, as far as that can be told without asking anybody."""
        url = customer_url(text)
        if (url.host, url.port) in self.own:
            raise UrlRefused(f"{url.host}:{url.port} is this gateway itself")
        if (why := self.refused(url.host)) is not None:
            raise UrlRefused(why)
        return url

    def refused(self, host: str) -> str | None:
        """Why nobody is called by this name or at this address, which may be where a name leads."""
        return self.addresses.refused(host)

    def loops(self, address: str, port: int, *, here: bool) -> str | None:
        """Why nobody is called at this address, if it is one of this machine's (`here`) and we listen there."""
        return f"{address}:{port} is this gateway itself" if here and port == self.own_port else None
