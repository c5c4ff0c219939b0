"""One spelling for each instance address, so that two spellings never count as two instances."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from homing.model.fleet import InstanceUrl

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_PLAIN_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST = 500
_SHOWN = 100
_NEVER_IN_ONE = frozenset(" \"'<>`\\^{}|")


def normal(url: str) -> InstanceUrl:
    """The normal form of a gateway's base URL: lower-case scheme and host, no trailing slash, loopback as `localhost`.

    Raises ValueError, with a sentence that names the URL, for what is no http or https base URL.
    """
    url = url.strip(" ")
    if len(url) > _LONGEST or not url.isprintable() or not _NEVER_IN_ONE.isdisjoint(url):
        # What reads URLs drops line breaks from the midst of one; who then speaks to whom is anybody's guess.
        raise ValueError(f"{url[:_SHOWN]!r} has a space, a quote, a control character or 500 characters and more in it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is not a base URL; it should look like http://host:3001")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(f"{url!r} must name only a host, a port and perhaps a path")
    host = "localhost" if parts.hostname in _LOOPBACK else parts.hostname
    if ":" in host:
        host = f"[{host}]"
    suffix = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return InstanceUrl(f"{parts.scheme}://{host}{suffix}{parts.path.rstrip('/')}")


def is_plain_path(path: str) -> bool:
    """Whether it is a path such as /homing or /a/b, that means the same to everybody who writes it into a link."""
    return _PLAIN_PATH.fullmatch(path) is not None


def is_loopback(url: str) -> bool:
    """Whether an address names the machine of whoever speaks of it: localhost, 127.0.0.0/8 or ::1, at any port."""
    try:
        host = urlsplit(url.strip()).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_host(host: str) -> bool:
    """The same of a host alone."""
    return is_loopback(f"http://[{host}]" if ":" in host else f"http://{host}")


def place(url: str) -> tuple[str, int]:
    """The host, in lower case and without brackets, and the port of an http or https URL in its normal form."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


def origin_key(url: InstanceUrl) -> str:
    """The short name of an instance in paths and metrics: its host, port and path without the scheme."""
    return url.split("://", 1)[-1]


def leads_under(url: str, base: str) -> bool:
    """Whether an http or https URL leads to a base URL or below it, however its host is written and cased."""
    try:
        asked, known = urlsplit(url), urlsplit(base)
        if asked.scheme not in _DEFAULT_PORTS or known.scheme not in _DEFAULT_PORTS:
            return False
        return _spot(url) == _spot(base) and f"{asked.path}/".startswith(f"{known.path.rstrip('/')}/")
    except ValueError:
        return False


def _spot(url: str) -> tuple[str, int]:
    host, port = place(url)
    return ("localhost" if host in _LOOPBACK else host.rstrip(".")), port
