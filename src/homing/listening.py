"""Where a process listens: `localhost` by every way that it leads here, anything else as it is written."""

import errno
import socket
from collections.abc import Sequence
from contextlib import suppress

_BOTH = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_NO_SUCH_FAMILY = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}
_FREE_PORT_TRIES = 20


def listeners(host: str, port: int, *, backlog: int, shared: bool = False) -> list[socket.socket]:
    """Sockets that listen on the host's addresses, all at one port; 0 takes any that is free on each of them.

    `localhost` is both loopback addresses: a browser tries IPv6 first, an old library only IPv4. On a machine without
    IPv6 the other one is enough. `shared`: others that share it, of the same user, may listen there too, and the kernel
    spreads connections over all of them. Raises OSError, with nothing left open.
    """
    for _ in range(_FREE_PORT_TRIES - 1 if port == 0 else 0):
        # What is free on one address may be somebody's on the other.
        with suppress(OSError):
            return _all_at_one_port(_addresses(host), port, backlog, shared=shared)
    return _all_at_one_port(_addresses(host), port, backlog, shared=shared)


def _addresses(host: str) -> Sequence[tuple[int, str]]:
    if host == "localhost":
        return _BOTH
    return ((socket.AF_INET6 if ":" in host else socket.AF_INET, host),)


def _all_at_one_port(
    addresses: Sequence[tuple[int, str]], port: int, backlog: int, *, shared: bool
) -> list[socket.socket]:
    opened: list[socket.socket] = []
    lacking: OSError | None = None
    try:
        for family, address in addresses:
            try:
                opened.append(_listener(family, address, port, backlog, shared=shared))
                port = opened[-1].getsockname()[1]
            except OSError as error:
                if error.errno not in _NO_SUCH_FAMILY or len(addresses) == 1:
                    raise
                lacking = error
        if not opened and lacking is not None:
            raise lacking
    except OSError:
        for each in opened:
            each.close()
        raise
    return opened


def _listener(family: int, address: str, port: int, backlog: int, *, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener
