"""Is this address one that everybody on the internet means by it, or is it ours to allow?

The lists are IANA's of special-purpose addresses (RFC 6890 and what was registered since), written out here because
what a library's `is_global` says has changed from release to release.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def _all(*written: str) -> tuple[Network, ...]:
    return tuple(ip_network(each) for each in written)


_NOT_PUBLIC_V4 = _all(
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # behind a carrier's NAT
    "127.0.0.0/8",  # loopback
    "168.63.129.16/32",  # Azure's platform, from inside of each machine there
    "169.254.0.0/16",  # link-local, and the metadata of most clouds
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments, Oracle's metadata among them
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # AMT
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",  # private
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
)
_PUBLIC_V6 = IPv6Network("2000::/3")
"""All that was ever given out for use on the internet; loopback, mapped, NAT64, private and link-local lie outside."""
_NOT_PUBLIC_V6 = _all(
    "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4: an IPv4 address in other clothes
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
)
_MAPPED, _COMPATIBLE, _TRANSLATED = (IPv6Network(each) for each in ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96"))
_NAT64, _SIX_TO_FOUR, _TEREDO = IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16"), IPv6Network("2001::/32")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""Before the last 32 bits, which are an IPv4 address then (RFC 5214)."""
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})


_INSIDE = _all("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128")
_AMAZONS_METADATA = IPv6Network("fd00:ec2::/32")


def operators_networks(more: str) -> tuple[Network, ...]:
    """Into which networks operators' receivers may lead beside public addresses: private ones, and what is allowed.

    Where a cloud tells machines their credentials is not among them unless it is allowed by name. Raises ValueError.
    """
    unique_local = IPv6Network("fc00::/7").address_exclude(_AMAZONS_METADATA)
    allowed = (ip_network(each.strip(), strict=False) for each in more.split(",") if each.strip())
    return (*_INSIDE, *unique_local, *allowed)


@dataclass(frozen=True, slots=True)
class PublicOnly:
    """Where customers' URLs may lead: to public addresses, and into networks that an operator allows."""

    allowed: tuple[Network, ...] = ()

    def refused(self, host: str) -> str | None:
        """Why nobody is called at an address, or by a name whatever it leads to; None if somebody may be."""
        try:
            address = ip_address(host)
        except ValueError:
            return f"{host} is where a cloud tells machines their credentials" if host in _METADATA_NAMES else None
        inner = _carried(address)
        if inner is not None and not self._fine(inner):
            return f"{host} is {inner} in another spelling, which is not a public address"
        if not self._fine(address):
            return f"{host} is not a public address, and HOMING_ALLOW_NETS does not allow it"
        return None

    def _fine(self, address: Address) -> bool:
        return _among(address, self.allowed) or is_public(address)


def is_public(address: Address) -> bool:
    """Whether it means one place to everybody on the internet, and is an address of the ordinary kind."""
    if isinstance(address, IPv4Address):
        return not _among(address, _NOT_PUBLIC_V4)
    if address.scope_id is not None or (int(address) >> 32 & 0xFFFF_FFFF) in _ISATAP:
        return False
    return address in _PUBLIC_V6 and not _among(address, _NOT_PUBLIC_V6)


def _carried(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to over some translator or tunnel."""
    if isinstance(address, IPv4Address):
        return None
    if any(address in network for network in (_MAPPED, _TRANSLATED, _NAT64)):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _COMPATIBLE and int(address) > 0xFFFF:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)
    if address in _TEREDO:
        return IPv4Address(~int(address) & 0xFFFF_FFFF)
    return None


def _among(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
