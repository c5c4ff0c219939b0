"""How a host is reached: its addresses, which of them answers first, and what it means when none does."""

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable

from homing.drivers.http.tls import tls_words
from homing.drivers.redact import shown
from homing.model.sends.faults import Fault, Phase

Made = tuple[asyncio.Transport, asyncio.Protocol]
Connect = Callable[[str, int, ssl.SSLContext | None, Callable[[], asyncio.Protocol]], Awaitable[Made]]
"""Opens one connection to (host, port), TLS if a context is given. A simulated network is one of these."""
Resolve = Callable[[str], Awaitable[list[str]]]
Refused = Callable[[str], str | None]
"""Why nobody is called at an address or by a name; None if somebody may be."""

STAGGER_S = 0.25
"""How long one address may be tried before the next is tried beside it (RFC 8305 section 5)."""
ASK_AGAIN_S = 0.5
"""How long a remembered address may be silent before its name is asked for again."""
LIVES_S = 60.0
"""How long after its name was asked for a connection is used."""
_REMEMBERED_HOSTS = 1_000
_OUR_OWN = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""What this machine or this process has run out of: descriptors, memory, ports."""
_LOCALHOST = ["127.0.0.1", "::1"]
"""RFC 6761 section 6.3: never asked of a resolver."""


async def system_addresses(host: str) -> list[str]:
    """The addresses of a host by the system's resolver, in its order. Raises socket.gaierror."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class AddressRefused(OSError):
    """The host is, or leads to, an address at which nobody is called."""


class Dialer:
    """A `Connect` over the real network. It remembers a host's addresses for a while, the one that answered first."""

    def __init__(
        self,
        *,
        resolve: Resolve = system_addresses,
        remember_s: float = 30.0,
        refused: Refused = lambda _: None,
    ) -> None:
        self._resolve, self._remember_s, self._refused = resolve, remember_s, refused
        self._known: dict[str, tuple[float, list[str]]] = {}
        self._asking: dict[str, asyncio.Task[list[str]]] = {}

    async def __call__(
        self, host: str, port: int, tls: ssl.SSLContext | None, protocol_factory: Callable[[], asyncio.Protocol]
    ) -> Made:
        known = self._believed(host)
        try:
            if known is None:
                return await self._connect(host, port, tls, protocol_factory, await self._asked(host))
            return await self._connect_or_ask_again(host, port, tls, protocol_factory, known)
        except (OSError, asyncio.CancelledError):  # cancelled is what a wait without an answer is in the end
            self._known.pop(host, None)
            raise

    def lives_until(self, host: str) -> float:
        """Until when, by the loop's time, a connection made now may be used: names move, and connections do not."""
        if host == "localhost" or _is_address(host):
            return float("inf")
        known = self._known.get(host)
        asked_at = known[0] - self._remember_s if known is not None else asyncio.get_running_loop().time()
        return asked_at + LIVES_S

    async def _connect_or_ask_again(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        protocol_factory: Callable[[], asyncio.Protocol],
        known: list[str],
    ) -> Made:
        """Where the name led a while ago, and, when that fails or is silent for a moment, where it leads now."""
        trying = asyncio.ensure_future(self._connect(host, port, tls, protocol_factory, known))
        try:
            done, _ = await asyncio.wait([trying], timeout=ASK_AGAIN_S)
            if done and trying.exception() is None:
                return trying.result()
            elsewhere = [address for address in await self._asked_again(host) if address not in known]
            if not elsewhere:
                return await trying
            fresh = self._connect(host, port, tls, protocol_factory, elsewhere)
            if done:
                return await fresh
            ways: dict[str, Awaitable[Made]] = {"then": trying, "now": fresh}
            return (await _first_to_answer(list(ways), ways.__getitem__))[1]
        finally:
            if not trying.done():
                trying.add_done_callback(_discard)
                trying.cancel()

    async def _asked_again(self, host: str) -> list[str]:
        """Nothing new, if nobody answers."""
        try:
            return await self._asked(host)
        except OSError:
            return []

    async def _connect(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        protocol_factory: Callable[[], asyncio.Protocol],
        addresses: list[str],
    ) -> Made:
        loop = asyncio.get_running_loop()

        async def open_one(address: str) -> Made:
            name = host if tls is not None else None
            return await loop.create_connection(protocol_factory, address, port, ssl=tls, server_hostname=name)

        if len(addresses) == 1:
            return await open_one(addresses[0])
        winner, made = await _first_to_answer(addresses, open_one)
        self._prefer(host, winner)
        return made

    def _believed(self, host: str) -> list[str] | None:
        """What the name led to when it was asked for a while ago."""
        known = self._known.get(host)
        return known[1] if known is not None and asyncio.get_running_loop().time() < known[0] else None

    async def _asked(self, host: str) -> list[str]:
        addresses = await self._look_up(host)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no address for this name")
        for each in (host, *addresses):
            if (why := self._refused(each)) is not None:
                raise AddressRefused(why)
        self._remember(host, addresses)
        return addresses

    async def _look_up(self, host: str) -> list[str]:
        """One question to the resolver at a time for each name, however many callers wait for it."""
        if host == "localhost":
            return _LOCALHOST
        if _is_address(host):
            return [host]
        asking = self._asking.get(host)
        if asking is None:
            asking = self._asking[host] = asyncio.ensure_future(self._resolve(host))
            asking.add_done_callback(lambda done: self._answered(host, done))
        return await asyncio.shield(asking)

    def _answered(self, host: str, done: "asyncio.Task[list[str]]") -> None:
        del self._asking[host]
        if not done.cancelled():
            done.exception()  # so that one nobody waited for is not reported as lost

    def _remember(self, host: str, addresses: list[str]) -> None:
        if len(self._known) >= _REMEMBERED_HOSTS:
            self._known.clear()
        self._known[host] = (asyncio.get_running_loop().time() + self._remember_s, addresses)

    def _prefer(self, host: str, winner: str) -> None:
        known = self._known.get(host)
        if known is not None and winner in known[1]:
            self._known[host] = (known[0], [winner, *(other for other in known[1] if other != winner)])

    async def close(self) -> None:
        """Stop waiting for resolvers."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _first_to_answer(addresses: list[str], open_one: Callable[[str], Awaitable[Made]]) -> tuple[str, Made]:
    """Try the addresses in turn, the next one as soon as the last failed or was slow; the first connection wins."""
    tries: dict[asyncio.Future[Made], str] = {}
    errors: list[OSError] = []
    untried = list(addresses)
    try:
        while untried or tries:
            if untried:
                address = untried.pop(0)
                tries[asyncio.ensure_future(open_one(address))] = address
            patience = STAGGER_S if untried else None
            done, _ = await asyncio.wait(tries, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                address = tries.pop(ended)
                error = ended.exception()
                if error is None:
                    return address, ended.result()
                if not isinstance(error, OSError):
                    raise error
                errors.append(error)
        raise _most_telling(errors)
    finally:
        for losing in tries:
            losing.add_done_callback(_discard)
            losing.cancel()


def _discard(losing: "asyncio.Future[Made]") -> None:
    """Close the connection of a try that came in second."""
    if not losing.cancelled() and losing.exception() is None:
        losing.result()[0].abort()


def _most_telling(errors: list[OSError]) -> OSError:
    """The error that says most of the instance.

    Silence leaves most open. An address that was reached and then failed says more than one that refused, and that
    more than, say, this machine having no IPv6.
    """
    telling: tuple[type[OSError], ...] = (TimeoutError, ssl.SSLError, ConnectionResetError, ConnectionRefusedError)
    for kind in telling:
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[0]


def unreached(error: Exception) -> Fault:
    """Why no connection came to be. In every case not one byte of a request left."""
    return Fault(_phase_of(error), shown(_words_of(error)))


def _phase_of(error: Exception) -> Phase:
    match error:
        case AddressRefused():
            return Phase.MISDIRECTED
        case OSError(errno=number) if number in _OUR_OWN:
            return Phase.NOT_ATTEMPTED
        case socket.gaierror() | UnicodeError():
            return Phase.NAME_NOT_RESOLVED
        case TimeoutError():
            return Phase.CONNECT_TIMED_OUT
        case ConnectionRefusedError():
            return Phase.REFUSED
        case _:
            return Phase.CONNECT_BROKEN


def _words_of(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return tls_words(error)
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno:
        return f"{errno.errorcode.get(error.errno, error.errno)}: {error.strerror or error}"
    return str(error.args[-1]) if error.args else type(error).__name__
