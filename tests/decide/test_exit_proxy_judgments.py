"""What is an exit proxy, what may be shown of it, and when is one shared badly?"""

import pytest

from homing.decide.fleet.exit_proxies import NoExitProxy, misused, name_of, read
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.sessions.exit_proxies import ExitProxyUse

A, B = InstanceUrl("http://a:3001"), InstanceUrl("http://b:3001")


def use(session: str, name: str, url: InstanceUrl, *, out: bool = True) -> ExitProxyUse:
    return ExitProxyUse(SessionId(session), name, f"http://{name}:8080", url, out)


@pytest.mark.parametrize(
    ("given", "url", "shown"),
    [
        ("http://p.example:8080", "http://p.example:8080", "http://p.example:8080"),
        ("socks5://u:p%40ss@p.example:1080", "socks5://u:p%40ss@p.example:1080", "socks5://***@p.example:1080"),
        ("https://u@[2001:db8::1]:443/", "https://u@[2001:db8::1]:443", "https://***@[2001:db8::1]:443"),
    ],
)
def test_an_address_is_read_whole_and_shown_without_its_login(given: str, url: str, shown: str) -> None:
    proxy = read(given)
    assert (proxy.url, proxy.shown) == (url, shown)
    assert "p@ss" not in repr(proxy)


@pytest.mark.parametrize(
    "given",
    ["p.example:8080", "ftp://p:1", "http://p", "http://p:0", "http://p:99999", "http://:8080", "http://p:1/x",
     "http://p:1?q=1", "http://:secret@p:1", "http://p p:1", "http://pä:1", "socks4://p:1", ""],
)  # fmt: skip
def test_what_is_no_proxy_is_refused_and_none_of_it_is_shown(given: str) -> None:
    with pytest.raises(NoExitProxy) as refused:
        read(given)
    assert "secret" not in str(refused.value)


def test_another_login_is_another_exit_and_another_password_is_not() -> None:
    names = {name_of(read(f"http://{login}p.example:8080")) for login in ("", "one:x@", "two:x@")}
    assert len(names) == 3
    assert name_of(read("http://one:y@P.example:8080")) in names


def test_one_exit_in_two_places_at_once_is_told_of_both_sessions() -> None:
    found = misused([use("one", "p", A), use("two", "p", B), use("three", "q", A)], sessions_max=5)
    assert set(found) == {"one", "two"}
    assert "2 instances at once" in found[SessionId("one")]


def test_more_sessions_than_may_share_an_exit_are_told() -> None:
    users = [use(f"s{n}", "p", A) for n in range(3)]
    assert set(misused(users, sessions_max=2)) == {"s0", "s1", "s2"}
    assert misused(users, sessions_max=3) == {}


def test_a_session_that_is_stopped_uses_no_exit() -> None:
    assert misused([use("one", "p", A), use("two", "p", B, out=False)], sessions_max=1) == {}
