"""What names something: addresses, ids, references and keys, in paths, headers and bodies. An input is one name."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from homing.decide.reports import speakers
from homing.decide.reports.speakers import Impostor, Introduced, Speaker
from homing.drivers.http import lanes, wire
from homing.drivers.webjs import driver as webjs
from homing.model.directory.access import Key, Scope
from homing.model.errors import Code, Problem
from homing.model.fleet import Instance, InstanceUrl, SessionId
from homing.model.instances.report_body import session_of as session_reported
from homing.model.urls import is_loopback, normal, origin_key
from homing.serve.api.context import session_of, url_of, uuid_of
from homing.serve.api.watching import events as events_api
from homing.serve.callers.access import authorise
from homing.serve.callers.instance_keys import InstanceKeys
from homing.serve.callers.keyring import Keyring
from homing.world import SystemClock

T = TypeVar("T")

_A, _B = InstanceUrl("http://a.example:3001"), InstanceUrl("http://localhost:3002")
_INSTANCES = (Instance(1, _A, name="first"), Instance(2, _B))
_KEYS = InstanceKeys("shared", lambda: {_A: "own-of-a", _B: "own-of-b"})
_KEY = Key("abc", None, Scope.READ, "", "0" * 64, datetime(2026, 1, 31, tzinfo=UTC))

SEEDS = (
    b"http://a.example:3001",
    b"HTTPS://[::1]:443/base/",
    b"http://127.0.0.1:3002/",
    b"a.example:3001",
    b"first",
    b"1",
    b"01a20c81-0000-7000-8000-000000000001",
    b"Bearer hk_abc_0123456789",
    b"own-of-a",
    b"session_1-2.3",
    b"18446744073709551616",
    "r\u00e9sum\u00e9".encode(),
)
WORDS = (
    b"http://",
    b"https://",
    b"localhost",
    b"127.0.0.1",
    b"[::1]",
    b"xn--",
    b"@",
    b"Bearer ",
    b"hk_",
    b"%2e%2e",
    b"..",
)


def check(data: bytes) -> None:
    name = data.decode("utf-8", "replace")
    _check_url(name)
    _check_ids(name)
    _check_speaker(data.decode("latin-1"))
    _check_keys(data.decode("latin-1"))


def _or_problem(reading: Callable[[], T]) -> T | None:
    try:
        return reading()
    except Problem as problem:
        assert problem.code in (Code.INVALID_REQUEST, Code.UNAUTHENTICATED, Code.FORBIDDEN)
        return None


def _check_url(name: str) -> None:
    is_loopback(name)
    url = _or_problem(lambda: url_of(name, "url"))
    if url is None:
        return
    assert normal(url) == url, "the normal form has another normal form"
    assert origin_key(url)
    assert url.isprintable() and " " not in url, "an address that no log line and no request can carry"
    peer = wire.Wire()._meet(url, lanes.current()[0])
    assert peer.host
    assert wire._request("GET", peer, "/health", None, None).count(b"\r\n\r\n") == 1


def _check_ids(name: str) -> None:
    uuid = _or_problem(lambda: uuid_of(name))
    assert uuid is None or uuid_of(uuid) == uuid
    for session in (_or_problem(lambda: session_of(name)), session_reported(name)):
        if session is not None:
            path = webjs._path(SessionId(session))
            assert path.isascii() and path.count("/") == 3 and "?" not in path, "a session that is another path"
    number = _or_problem(lambda: events_api._resumed(name, None))
    assert number is None or 0 <= number < 2**63


def _check_speaker(word: str) -> None:
    for told in (Introduced(ref=word), Introduced(named=word), Introduced(named=word, knows_its_name=True)):
        found = speakers.introduced(_INSTANCES, told)
        assert not isinstance(found, Impostor)
        assert not isinstance(found, Speaker) or found.url in (_A, _B), "somebody speaks who is not known"


def _check_keys(word: str) -> None:
    keyring = Keyring(None, SystemClock())  # type: ignore[arg-type] - no key is read here
    keyring._keys = {_KEY.id: _KEY}
    assert _or_problem(lambda: authorise(keyring, word, Scope.READ)) is None, "a key that nobody has opens"
    _or_problem(lambda: _KEYS.check(word))
    assert _KEYS.own(word) in (None, _A, _B)
