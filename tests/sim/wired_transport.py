"""One connection in memory: two ends, and what travels between them in order."""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum, StrEnum, auto
from typing import Any

Address = tuple[str, int]


class TransportUpset(StrEnum):
    """What becomes of the next bytes that a client writes. The connection is of no more use afterwards.

    Reset: both ends hear of it. Lost: nobody hears anything ever again, the connection is half open.
    """

    RESET_BEFORE_DELIVERY = "reset before delivery"
    RESET_AFTER_DELIVERY = "reset after delivery"
    LOST_BEFORE_DELIVERY = "lost before delivery"
    LOST_AFTER_DELIVERY = "lost after delivery"


class _Signal(Enum):
    """What travels beside bytes."""

    END = auto()
    RESET = auto()


class Wires:
    """Both ends of one connection. `delay_s` says how long the next thing travels, `next_upset` what goes wrong."""

    def __init__(
        self,
        delay_s: Callable[[], float],
        next_upset: Callable[[], TransportUpset | None],
        client: Address,
        server: Address,
    ) -> None:
        self._next_upset = next_upset
        self._to_server, self._to_client = _Way(delay_s), _Way(delay_s)
        self.client = MemoryTransport(self._write_of_client, self._to_server, sockname=client, peername=server)
        self.server = MemoryTransport(self._to_client.carry, self._to_client, sockname=server, peername=client)
        self._to_server.end, self._to_client.end = self.server, self.client

    @property
    def ended(self) -> bool:
        return self.client.is_closing() and self.server.is_closing()

    def reset(self) -> None:
        """The server's end is gone, and the client will hear of it."""
        self.server.fail(_reset_by_peer())
        self._to_client.carry(_Signal.RESET)

    def abandon(self) -> None:
        """The client went away before it had the connection."""
        self.client.fail(None)
        self._to_server.carry(_Signal.RESET)

    def sever(self) -> None:
        """From now on nothing arrives, on neither end."""
        self._to_server.silent = self._to_client.silent = True

    def _write_of_client(self, data: bytes) -> None:
        match self._next_upset():
            case None:
                self._to_server.carry(data)
            case TransportUpset.RESET_BEFORE_DELIVERY:
                self._to_server.carry(_Signal.RESET)
                self._to_client.carry(_Signal.RESET)
            case TransportUpset.RESET_AFTER_DELIVERY:
                self._to_server.post(lambda: self._deliver_unanswered(data, self._reset_after_all))
            case TransportUpset.LOST_BEFORE_DELIVERY:
                self.sever()
            case TransportUpset.LOST_AFTER_DELIVERY:
                self._to_server.post(lambda: self._deliver_unanswered(data, self.sever))

    def _deliver_unanswered(self, data: bytes, then: Callable[[], None]) -> None:
        """Whatever the server writes back at once goes nowhere."""
        self._to_client.silent = True
        self.server.arrive(data)
        then()

    def _reset_after_all(self) -> None:
        self._to_client.silent = False
        self.reset()


class _Way:
    """One direction of a connection. Things arrive in the order in which they were sent."""

    end: "MemoryTransport"

    def __init__(self, delay_s: Callable[[], float]) -> None:
        self._delay_s = delay_s
        self._under_way: deque[Callable[[], None]] = deque()
        self.silent = False

    def carry(self, item: bytes | _Signal) -> None:
        self.post(lambda: self.end.arrive(item))

    def post(self, arrival: Callable[[], None]) -> None:
        """Let something happen at the other end, after what was sent before."""
        if not self.silent:
            self._under_way.append(arrival)
            asyncio.get_running_loop().call_later(self._delay_s(), self._arrive)

    def _arrive(self) -> None:
        # Not that whose timer this is, if a later one was quicker: the order stays.
        arrival = self._under_way.popleft()
        if not self.silent:
            arrival()


class MemoryTransport(asyncio.Transport):
    """One end of a connection. What it writes leaves at once, as into a kernel that always has room."""

    def __init__(self, write: Callable[[bytes], None], way: _Way, **names: Address) -> None:
        super().__init__(extra=names)
        self._write, self._way = write, way
        self._protocol: asyncio.Protocol | None = None
        self._closing = self._ended_writing = self._paused = False
        self._held: deque[bytes | _Signal] = deque()

    def meet(self, protocol: asyncio.Protocol) -> None:
        """Give the connection to who uses it. What arrived before is handed over afterwards."""
        self._protocol = protocol
        protocol.connection_made(self)
        self._hand_over_soon()

    def reset(self) -> None:
        """Close so that the other side gets a reset."""
        if not self._closing:
            self._way.carry(_Signal.RESET)
            self.fail(None)

    def fail(self, error: OSError | None) -> None:
        """This end is over."""
        if self._closing:
            return
        self._closing = True
        if self._protocol is not None:
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, error)

    def arrive(self, item: bytes | _Signal) -> None:
        """Something came from the other end."""
        if self._closing:
            if isinstance(item, bytes):
                self._way.carry(_Signal.RESET)
        elif self._paused or self._held or self._protocol is None:
            self._held.append(item)
        else:
            self._hand_over(item, self._protocol)

    def _hand_over(self, item: bytes | _Signal, protocol: asyncio.Protocol) -> None:
        if isinstance(item, bytes):
            protocol.data_received(item)
        elif item is _Signal.RESET:
            self.fail(_reset_by_peer())
        elif not protocol.eof_received():
            self.close()

    def _hand_over_soon(self) -> None:
        if self._held:
            asyncio.get_running_loop().call_soon(self._hand_over_held)

    def _hand_over_held(self) -> None:
        while self._held and not self._paused and not self._closing:
            assert self._protocol is not None
            self._hand_over(self._held.popleft(), self._protocol)

    # --- asyncio.Transport ------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not self._closing and not self._ended_writing:
            self._write(bytes(data))

    def write_eof(self) -> None:
        if not self._closing and not self._ended_writing:
            self._ended_writing = True
            self._way.carry(_Signal.END)

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.write_eof()
        self.fail(None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer to limit."""

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._hand_over_soon()

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return super().get_extra_info(name, default)


def _reset_by_peer() -> ConnectionResetError:
    return ConnectionResetError(104, "Connection reset by peer")
