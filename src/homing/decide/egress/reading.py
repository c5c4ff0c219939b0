"""Is this text a URL that we would call for a customer, and what are its parts?

One grammar, narrower than any library's, and no repair: what two readers could read in two ways is refused. So there is
one spelling of each address (dotted decimal, or IPv6 in brackets), and names are written in ASCII.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from homing.model.deliveries.egress import CustomerUrl, UrlRefused

LONGEST = 2_000
"""Characters of a URL."""
_LONGEST_NAME = 253
_SHOWN = 80
_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<host>\[[^\[\]/?#@]*\]|[^\[\]/?#@:]*)"
    r"(?::(?P<port>[^/?#@]*))?"
    r"(?P<target>(?:/[^?#]*)?(?:\?[^#]*)?)",
)
_TARGET = re.compile(r"(?:%[0-9A-Fa-f]{2}|[A-Za-z0-9._~!$&'()*+,;=:@/?-])*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NOT_FOR_HTTP = frozenset(
    {1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110}
    | {111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531}
    | {532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060}
    | {5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211}
)
"""The "bad ports" of the WHATWG's Fetch standard, where other protocols listen that a line of text may move to
something; and those of Redis and memcached."""


def customer_url(text: str) -> CustomerUrl:
    """The parts of a URL that a customer gave. Raises UrlRefused for whatever is not plainly an http or https URL."""
    if len(text) > LONGEST:
        raise UrlRefused(f"a URL has at most {LONGEST} characters, and this one has {len(text)}")
    shown = repr(text[:_SHOWN])
    if not text.isascii():
        raise UrlRefused(f"{shown} has characters outside ASCII; write a name as xn--…, and a path with %…")
    match = _URL.fullmatch(text)
    if match is None:
        raise UrlRefused(f"{shown} is no URL such as https://example.com/hook, without a user, a password or a #")
    scheme = match["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        raise UrlRefused(f"{shown} is neither http nor https")
    if not _TARGET.fullmatch(match["target"]):
        raise UrlRefused(f"{shown} has characters in its path that must be written with %")
    host, is_address = _host(match["host"].lower(), shown)
    target = match["target"] if match["target"].startswith("/") else "/" + match["target"]
    return CustomerUrl(scheme, host, _port(match["port"], scheme, shown), target, is_address)


def _port(written: str | None, scheme: str, shown: str) -> int:
    if written is None:
        return _DEFAULT_PORTS[scheme]
    if not re.fullmatch(r"[1-9][0-9]{0,4}", written) or int(written) > 65_535:
        raise UrlRefused(f"{shown} has no port such as 443 after its colon")
    if int(written) in _NOT_FOR_HTTP:
        raise UrlRefused(f"{shown} leads to port {written}, where something else than HTTP listens")
    return int(written)


def _host(written: str, shown: str) -> tuple[str, bool]:
    """The host as it is called, and whether it is an address."""
    if written.startswith("["):
        return _v6(written[1:-1], shown), True
    labels = written.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _v4(written, shown), True
    if len(written) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefused(f"{shown} names no host: a name has letters, digits, dots and hyphens")
    return written, False


def _v4(written: str, shown: str) -> str:
    try:
        return str(IPv4Address(written))
    except AddressValueError:
        raise UrlRefused(f"{shown} has an address that is not four decimal numbers") from None


def _v6(written: str, shown: str) -> str:
    try:
        address = IPv6Address(written)
    except AddressValueError:
        raise UrlRefused(f"{shown} has no IPv6 address in its brackets") from None
    if address.scope_id is not None:
        raise UrlRefused(f"{shown} has a zone in its address, which means something on one machine only")
    return str(address)
