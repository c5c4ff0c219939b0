"""TLS towards instances: whom we believe, what we show of ourselves, and in which words it fails."""

import re
import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_REFUSED_OURS = re.compile(r"ALERT_(?:CERTIFICATE_|BAD_CERTIFICATE|UNKNOWN_CA|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED)")
_EXPIRED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64
_UNKNOWN_CA = {18, 19, 20, 21}
"""OpenSSL's X509_V_ERR_*: self-signed, self-signed in the chain, no issuer here, no issuer that verifies."""


class TlsUnusable(ValueError):
    """A certificate or a key that is set cannot be used. The message is one sentence that names the setting."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What is set for connections to instances; empty means: not set. `ca` is believed beside the system's own."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True


class TlsContexts:
    """Contexts of those files, read anew when one of them was replaced, as short-lived certificates are."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises TlsUnusable."""
        self._files = files
        self._seen = self._stamps()
        self._context = _context(files)

    def __call__(self) -> ssl.SSLContext:
        """The context for one more connection. While new files are unusable, the one of before."""
        seen = self._stamps()
        if seen != self._seen:
            try:
                self._context = _context(self._files)
            except TlsUnusable:
                return self._context
            self._seen = seen
        return self._context

    def _stamps(self) -> list[tuple[int, int]]:
        stamps = []
        for name in (self._files.ca, self._files.cert, self._files.key):
            try:
                found = Path(name).stat() if name else None
            except OSError:
                found = None
            stamps.append((found.st_mtime_ns, found.st_ino) if found else (0, 0))
        return stamps


def _context(files: TlsFiles) -> ssl.SSLContext:
    return _usual() if files == TlsFiles() else _built(files)


@cache
def _usual() -> ssl.SSLContext:
    """What everybody shares who has set nothing: reading the system's authorities takes tens of milliseconds."""
    return _built(TlsFiles())


def _built(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if files.key and not files.cert:
        raise TlsUnusable("HOMING_UPSTREAM_KEY is set without HOMING_UPSTREAM_CERT, to which it belongs")
    try:
        if files.ca:
            context.load_verify_locations(files.ca)
    except (OSError, ValueError) as error:
        raise TlsUnusable(f"HOMING_UPSTREAM_CA names {files.ca}, which cannot be used: {_why(error)}") from error
    try:
        if files.cert:
            context.load_cert_chain(files.cert, files.key or None, lambda: "")
    except (OSError, ValueError) as error:
        named = f"HOMING_UPSTREAM_CERT and HOMING_UPSTREAM_KEY name {files.cert} and {files.key or files.cert}"
        raise TlsUnusable(f"{named}, which cannot be used together: {_why(error)}") from error
    if not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def tls_words(error: ssl.SSLError) -> str:
    """Why TLS with an instance failed, and what to do about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: its certificate {_fault_of(error)}"
    if is_refusal_of_ours(error):
        return "TLS: it asks for a client certificate that it knows; set HOMING_UPSTREAM_CERT and HOMING_UPSTREAM_KEY"
    return f"TLS: {error.args[-1]}"


def is_refusal_of_ours(error: BaseException | None) -> bool:
    """The peer did not like our certificate, or that we have none. With TLS 1.3 it says so only after our first bytes,
    which it has not read: it ends the handshake before it takes any request (RFC 8446 section 4.4.2.4)."""
    return isinstance(error, ssl.SSLError) and bool(_REFUSED_OURS.search(error.reason or ""))


def _fault_of(error: ssl.SSLCertVerificationError) -> str:
    code = getattr(error, "verify_code", None)
    if code == _EXPIRED:
        return "has expired"
    if code == _NOT_YET:
        return "is not valid yet; or a clock is wrong"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f"is for another name: {error.verify_message}"
    if code in _UNKNOWN_CA:
        return "is of a CA that is not known here; name its file with HOMING_UPSTREAM_CA"
    return f"is not accepted: {getattr(error, 'verify_message', error)}"
