"""Where a process listens."""

import socket
from contextlib import closing

import pytest

from homing import listening
from homing.listening import listeners


def reached(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def test_localhost_is_reached_by_both_ways_that_it_leads_here() -> None:
    opened = listeners("localhost", 0, backlog=5)
    try:
        [port] = {each.getsockname()[1] for each in opened}
        assert reached("127.0.0.1", port)
        assert reached("::1", port) == (len(opened) == 2)
        assert socket.has_ipv6 is False or not _has_loopback_6() or len(opened) == 2
    finally:
        for each in opened:
            each.close()


def test_an_address_is_listened_on_alone() -> None:
    [only] = listeners("127.0.0.1", 0, backlog=5)
    with closing(only):
        assert only.getsockname()[0] == "127.0.0.1"
        assert not reached("::1", only.getsockname()[1])


def test_a_machine_without_ipv6_listens_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_BOTH", ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "2001:db8::1")))
    [only] = listeners("localhost", 0, backlog=5)
    with closing(only):
        assert reached("127.0.0.1", only.getsockname()[1])


@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
def test_a_port_that_somebody_has_on_one_of_them_is_taken(taken: str) -> None:
    """Else `localhost` would lead some callers to us and some to whoever that is."""
    if taken == "::1" and not _has_loopback_6():
        pytest.skip("NOT RUN: this machine has no IPv6 loopback")
    [theirs] = listeners(taken, 0, backlog=5)
    port = theirs.getsockname()[1]
    with closing(theirs), pytest.raises(OSError, match="in use"):
        listeners("localhost", port, backlog=5)
    for each in listeners("localhost", port, backlog=5):
        each.close()


def _has_loopback_6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
