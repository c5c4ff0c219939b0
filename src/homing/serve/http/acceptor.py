"""Takes in the connections that wait at a listening socket: of all that came, some hundreds in a turn of the loop.

The loop would do it itself, but takes one in a turn (libuv since 1.45). When a balancer comes back with a thousand
connections at once, the last of them waited for seconds for its first answer, while those that were in were served.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

import structlog

log = structlog.get_logger("homing")

_IN_A_TURN = 256
_PAUSE_S = 0.2
"""How long those who come wait where there is no descriptor for them. The alert about it is the watch's."""
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """Makes a connection of `make` of each client of one listening socket, until closed. The socket stays open."""

    def __init__(
        self, listening: socket.socket, make: Callable[[], asyncio.Protocol], *, tls: ssl.SSLContext | None = None
    ) -> None:
        """To be made on the event loop, which it serves on."""
        self._loop = asyncio.get_running_loop()
        self._listening, self._make, self._tls = listening, make, tls
        self._closed = False
        self._opening: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        self._loop.add_reader(listening, self._accept)

    def close(self) -> None:
        """Take in nobody more."""
        self._closed = True
        self._loop.remove_reader(self._listening)

    def _accept(self) -> None:
        for _ in range(_IN_A_TURN):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    log.warning("A connection could not be taken in; those behind it wait a moment", error=str(error))
                self._pause()
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, connection, ssl=self._tls)
        except BaseException as error:
            connection.close()
            if not isinstance(error, OSError):
                raise
            log.debug("A client left before its connection was open", error=str(error) or type(error).__name__)

    def _pause(self) -> None:
        """Whoever waits at the socket would wake us at once, again and again."""
        self._loop.remove_reader(self._listening)
        self._loop.call_later(_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listening, self._accept)
            self._accept()
