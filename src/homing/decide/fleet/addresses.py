"""At which addresses is there never an instance, whoever names one?

Clouds tell machines their credentials at link-local and a few other fixed addresses. An instance is called with what
others wrote, and so must not lead there: not by its address, and not by a name that leads there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_NEVER: tuple[Network, ...] = tuple(
    ip_network(each)
    for each in (
        "169.254.0.0/16",  # link-local (RFC 3927), and the metadata services of most clouds
        "fe80::/10",  # link-local (RFC 4291)
        "fd00:ec2::/32",  # Amazon's metadata and the other services of its machines, by IPv6
        "fd20:ce::254/128",  # Google's, by IPv6
        "100.100.100.200/32",  # Alibaba's
        "192.0.0.192/32",  # Oracle's
        "168.63.129.16/32",  # Azure's
    )
)
_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "instance-data", "metadata"})
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Reachable:
    """Where instances may be. `allowed` are networks of those that are refused otherwise."""

    allowed: tuple[Network, ...] = ()

    def refused(self, host: str) -> str | None:
        """Why there is no instance at this host, an address or a name; None if there may be one."""
        address = _address(host)
        if address is None:
            named = host.lower().rstrip(".") in _NAMES and not self.allowed
            return f"{host} is where a cloud tells machines their credentials" if named else None
        if not _among(address, _NEVER) or _among(address, self.allowed):
            return None
        return f"{host} is link-local, or where a cloud tells machines their credentials"


def networks(given: str) -> tuple[Network, ...]:
    """The networks of a list with commas. Raises ValueError for what is none."""
    return tuple(ip_network(each.strip(), strict=False) for each in given.split(",") if each.strip())


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or _translated(address) or address
    return address


def _translated(address: IPv6Address) -> IPv4Address | None:
    """What a translator between the two families sends it on to (RFC 6052)."""
    return IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else None


def _among(address: IPv4Address | IPv6Address, among: Sequence[Network] | Iterable[Network]) -> bool:
    return any(address in network for network in among if network.version == address.version)
