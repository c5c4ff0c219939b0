"""Ports that nobody listens on, for processes that are told theirs beforehand."""

import os
import random
import socket
from collections.abc import Sequence

FIRST, END = 20_000, 32_000
"""Below the ports that the system gives out by itself."""


def free_ports(count: int, hosts: Sequence[str] = ("127.0.0.1",)) -> list[int]:
    """So many neighbouring ports that are free at each of these addresses.

    Test processes that run beside each other (pytest-xdist) choose from stripes of their own: what one has chosen and
    not yet opened, no other one chooses.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    stripe = (END - FIRST) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    while True:
        first = FIRST + worker * stripe + random.randrange(stripe - count)
        ports = list(range(first, first + count))
        if all(is_free(host, port) for host in hosts for port in ports):
            return ports


def is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
