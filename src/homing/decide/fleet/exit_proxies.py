"""What is an exit proxy, and by which of them does too much go out?"""

import hashlib
from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from homing.model.fleet import SessionId
from homing.model.sessions.exit_proxies import ExitProxy, ExitProxyUse

SCHEMES = ("http", "https", "socks5")
_HELP = "write it http://user:password@host:port (or https, socks5)"


class NoExitProxy(ValueError):
    """What was given is no exit proxy. The sentence shows nothing of what was given, which may be a password."""


def read(given: str) -> ExitProxy:
    """The proxy at this address. Raises NoExitProxy."""
    if not given.isascii() or not given.isprintable() or " " in given:
        raise NoExitProxy(f"An exit proxy holds no spaces and no characters that an address cannot; {_HELP}")
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        raise NoExitProxy(f"An exit proxy's address could not be read; {_HELP}") from None
    if (wrong := _wrong_with(parts, port)) is not None:
        raise NoExitProxy(f"An exit proxy {wrong}; {_HELP}")
    assert port is not None and parts.hostname is not None
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password and username is not None else None
    return ExitProxy(parts.scheme, parts.hostname, port, username, password)


def _wrong_with(parts: SplitResult, port: int | None) -> str | None:
    if parts.scheme not in SCHEMES:
        return f"begins with {', '.join(f'{each}://' for each in SCHEMES)}"
    if not parts.hostname:
        return "names a host"
    if not port:
        return "names a port"
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return "ends with its port"
    if parts.password and not parts.username:
        return "has a password only with a user"
    return None


def name_of(proxy: ExitProxy) -> str:
    """What tells exits apart: two accounts with one name leave by the same address. Nothing can be read in it.

    Where there is a login it counts: providers give each login an address of its own. Its password does not.
    """
    told = f"{proxy.host.lower()}\n{proxy.port}\n{proxy.username or ''}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def misused(uses: Sequence[ExitProxyUse], *, sessions_max: int) -> dict[SessionId, str]:
    """The sessions whose exit is used from two instances at once, or by more sessions than it may be, each with why.

    WhatsApp sees one address in two places, or too many people at one; both end logins.
    """
    by_name: dict[str, list[ExitProxyUse]] = {}
    for use in uses:
        if use.out:
            by_name.setdefault(use.name, []).append(use)
    found: dict[SessionId, str] = {}
    for users in by_name.values():
        if (why := _misuse(users, sessions_max)) is not None:
            found |= {each.session_id: why for each in users}
    return found


def _misuse(users: Sequence[ExitProxyUse], sessions_max: int) -> str | None:
    places = sorted({each.instance_url for each in users})
    if len(places) > 1:
        return f"its exit {users[0].shown} is used from {len(places)} instances at once: {', '.join(places)}"
    if len(users) > sessions_max:
        return f"{len(users)} sessions go out by its exit {users[0].shown}, and {sessions_max} may"
    return None
