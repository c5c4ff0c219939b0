"""Whose word on behalf of others is taken: that of loopback, and of the proxies that the settings name."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


def speaks_for_others(address: str, trusted: Iterable[Network]) -> bool:
    """Whether what connects from this address may be a proxy of ours."""
    try:
        known = ip_address(address)
    except ValueError:
        return True  # a local socket
    return known.is_loopback or any(known in network for network in trusted)
