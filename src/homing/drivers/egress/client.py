"""Calling customers' URLs: each one judged, connected to where it was judged to lead, and never past its limits."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from homing.drivers.egress.resolving import JudgedResolver, LeadsAstray
from homing.drivers.http.resolving import Resolve, system_addresses
from homing.drivers.http.tls import TlsContexts, TlsFiles, tls_words
from homing.drivers.redact import shown
from homing.model.deliveries.egress import CallAnswer, CallFailed, CallFailure, CustomerUrl, Unfetched, UrlRefused
from homing.ports.deliveries.egress import UrlRules

_CONNECT_S = 5.0
_KEPT_OPEN_S = 15.0
_LINE_BYTES = 8_190
_CHUNK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WORDS_SHOWN = 120


class EgressClient:
    """The `Egress` over the real network.

    It has no cookies, no proxy of the environment, no decompression, and follows no redirect by itself. Connections
    are kept for a few seconds, each to the address that was judged when it was opened.
    """

    def __init__(self, rules: UrlRules, session: aiohttp.ClientSession, names: JudgedResolver) -> None:
        """For `opened`."""
        self._rules, self._session, self._names = rules, session, names

    @classmethod
    def opened(
        cls, rules: UrlRules, *, resolve: Resolve = system_addresses, tls: Callable[[], ssl.SSLContext] | None = None
    ) -> Self:
        """Inside a running event loop. `tls` gives the context of `https` connections; else the system's CAs hold."""
        names = JudgedResolver(rules, resolve)
        connector = aiohttp.TCPConnector(
            resolver=names,
            use_dns_cache=False,
            limit=0,
            ssl=(tls or TlsContexts(TlsFiles()))(),
            keepalive_timeout=_KEPT_OPEN_S,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=_LINE_BYTES,
            max_field_size=_LINE_BYTES,
            headers={"User-Agent": "homing", "Accept-Encoding": "identity"},
        )
        return cls(rules, session, names)

    async def close(self) -> None:
        await self._session.close()

    async def check(self, text: str) -> CustomerUrl:
        """See `Egress.check`."""
        url = self._judged(text)
        if url.is_address:
            return url
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._names.addresses(url.host, url.port)
        except LeadsAstray as error:
            raise UrlRefused(str(error)) from error
        except (OSError, UnicodeError) as error:
            raise UrlRefused(f"{url.host} leads nowhere: there is no such name just now") from error
        return url

    async def post(
        self, text: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float, keep_bytes: int = 2_048
    ) -> CallAnswer | CallFailed:
        """See `Egress.post`."""
        try:
            url = self._judged(text)
            async with asyncio.timeout(timeout_s), self._request("POST", url, body, headers) as reply:
                kept = await _beginning(reply, keep_bytes)
                return CallAnswer(reply.status, _lower(reply), kept)
        except _FAILURES as error:
            return _failed(error, timeout_s)

    @asynccontextmanager
    async def fetch(
        self, text: str, *, most_bytes: int, timeout_s: float, redirects: int = 3
    ) -> AsyncIterator["FetchedFile"]:
        """See `Egress.fetch`."""
        until = asyncio.get_running_loop().time() + timeout_s
        hops, url = 0, self._judged(text)
        while True:
            try:
                async with asyncio.timeout_at(until):
                    reply = await self._request("GET", url)
            except _FAILURES as error:
                raise _unfetched(error, timeout_s) from error
            async with reply:
                if reply.status not in _REDIRECTS:
                    yield FetchedFile.begun(url, reply, most_bytes, until)
                    return
                hops += 1
                if hops > redirects:
                    raise Unfetched(CallFailure.TOO_MANY_REDIRECTS, f"{text[:_WORDS_SHOWN]} is redirected for ever")
                url = self._judged(urljoin(url.text, reply.headers.get("Location", "")))

    def _judged(self, text: str) -> CustomerUrl:
        """Raises UrlRefused. An address is judged here and a name again when it is resolved, for each connection."""
        url = self._rules.read(text)
        if url.is_address and (why := self._names.refused(url.host, url.port)) is not None:
            raise UrlRefused(why)
        return url

    def _request(
        self, method: str, url: CustomerUrl, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> "aiohttp.client._RequestContextManager":
        as_judged = URL(url.text, encoded=True)
        assert as_judged.host == url.host, "two readers of one URL differ on its host"
        assert as_judged.port == url.port, "two readers of one URL differ on its port"
        return self._session.request(
            method, as_judged, data=body, headers=headers, allow_redirects=False, raise_for_status=False
        )


@dataclass(slots=True, eq=False)
class FetchedFile:
    """A `FetchedBody` as it comes over the network."""

    url: str
    content_type: str
    length: int | None
    _reply: aiohttp.ClientResponse
    _most_bytes: int
    _until: float

    @classmethod
    def begun(cls, url: CustomerUrl, reply: aiohttp.ClientResponse, most_bytes: int, until: float) -> Self:
        """Raises Unfetched for an answer that is not the file, or says that it is too large."""
        if reply.status != 200:
            raise Unfetched(CallFailure.STATUS, f"{url.authority} answered {reply.status}")
        length = reply.content_length
        if length is not None and length > most_bytes:
            raise _too_large(url.authority, most_bytes)
        return cls(url.text, reply.headers.get("Content-Type", ""), length, reply, most_bytes, until)

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `FetchedBody.chunks`."""
        came = 0
        while True:
            try:
                async with asyncio.timeout_at(self._until):
                    chunk = await self._reply.content.read(_CHUNK_BYTES)
            except _FAILURES as error:
                raise _unfetched(error, None) from error
            if not chunk:
                return
            came += len(chunk)
            if came > self._most_bytes:
                self._reply.close()
                raise _too_large(self._reply.url.authority, self._most_bytes)
            yield chunk


_FAILURES = (aiohttp.ClientError, OSError, UnicodeError, asyncio.IncompleteReadError, UrlRefused)
"""`TimeoutError` is one of OSError's."""


async def _beginning(reply: aiohttp.ClientResponse, keep_bytes: int) -> bytes:
    """What the answer begins with. Of a longer one the rest is not read: its connection is closed."""
    kept = bytearray()
    while len(kept) <= keep_bytes and (chunk := await reply.content.read(keep_bytes + 1 - len(kept))):
        kept += chunk
    if len(kept) > keep_bytes:
        reply.close()
    return bytes(kept[:keep_bytes])


def _lower(reply: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in reply.headers.items()}


def _too_large(where: str, most_bytes: int) -> Unfetched:
    return Unfetched(CallFailure.TOO_LARGE, f"what {where} sends is larger than {most_bytes} bytes")


def _unfetched(error: Exception, timeout_s: float | None) -> Unfetched:
    failed = _failed(error, timeout_s)
    return Unfetched(failed.failure, failed.reason)


def _failed(error: Exception, timeout_s: float | None) -> CallFailed:
    """How far the call came, from what was raised on its way."""
    inner: Exception = getattr(error, "os_error", None) or error
    match inner:
        case UrlRefused() | LeadsAstray():
            return CallFailed(CallFailure.REFUSED, shown(str(inner)))
        case aiohttp.ConnectionTimeoutError():
            return CallFailed(CallFailure.UNREACHED, f"no connection within {_CONNECT_S:g} s")
        case TimeoutError():
            within = f" within {timeout_s:g} s" if timeout_s is not None else " in time"
            return CallFailed(CallFailure.TIMED_OUT, f"no whole answer{within}")
        case socket.gaierror() | UnicodeError():
            return CallFailed(CallFailure.UNRESOLVED, "there is no such name")
        case ssl.SSLError():
            return CallFailed(CallFailure.TLS, shown(tls_words(inner)))
        case _ if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return CallFailed(CallFailure.TLS, shown(f"TLS: {error.certificate_error}"))
        case _ if isinstance(error, aiohttp.ClientConnectorError):
            return CallFailed(CallFailure.UNREACHED, shown(getattr(inner, "strerror", None) or str(inner)))
        case _:
            return CallFailed(CallFailure.BROKEN, _how_it_broke(inner))


def _how_it_broke(error: Exception) -> str:
    """In words of ours. What a parser complains of quotes the bytes that came, which may be anybody's."""
    match error:
        case aiohttp.ClientPayloadError() | asyncio.IncompleteReadError():
            return "its answer broke off"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before an answer came"
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            return "what answers there does not speak HTTP"
        case OSError() if error.strerror:
            return shown(f"the connection broke: {error.strerror}")
        case _:
            return f"the connection broke ({type(error).__name__})"
