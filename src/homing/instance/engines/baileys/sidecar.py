"""The Node process beside an instance: started when it is needed, watched, and spoken to in frames over a socket pair.

A frame is JSON with a length of four bytes before it. The process ends when its end of the pair closes; it is killed
when it says nothing for a while, or something that is no frame. Whoever has a channel hears of the end either way.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger("homing")
PROTOCOL = 1
FRAME_MAX = 16 * 1024 * 1024
HELLO_WITHIN_S = 20.0
PING_EVERY_S = 5.0
PONG_WITHIN_S = 20.0
SCRIPT = Path(__file__).with_name("sidecar.mjs")
ENV_KEPT = ("PATH", "HOME", "LANG", "TZ", "NODE_EXTRA_CA_CERTS", "HOMING_TEST_WHATSAPP_ROOT")
"""What the process is told of our environment: none of our secrets."""

Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SidecarCommand:
    """How the process is started: Node, and the folder of the installed package."""

    node: str
    package: Path
    memory_mb: int = 1024

    @property
    def words(self) -> list[str]:
        return [self.node, f"--max-old-space-size={self.memory_mb}", str(SCRIPT), str(self.package)]


class SidecarGone(ConnectionError):
    """The process is not there, or does not speak as it should."""


class Sidecar:
    """One process at a time, for all sessions of an instance."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._channels: dict[int, Callable[[Told], None]] = {}
        self._number = 0
        self._pongs = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def channel(self, heard: Callable[[Told], None]) -> int:
        """The number of a new channel, of a process that is up. ``heard`` gets ``{"t": "gone"}`` when that ends.

        Raises SidecarGone.
        """
        async with self._starting:
            if self._writer is None:
                await self._start()
        self._number += 1
        self._channels[self._number] = heard
        return self._number

    def say(self, channel: int, frame: Told) -> None:
        """On a process that is gone this does nothing: the channel has heard of it."""
        if self._writer is not None and channel in self._channels:
            self._write({**frame, "s": channel})

    def leave(self, channel: int) -> None:
        """Close the channel: the session there is muted, and nothing is heard of it any more."""
        self.say(channel, {"t": "close"})
        self._channels.pop(channel, None)

    async def close(self) -> None:
        """End the process."""
        self._end("the instance ends")
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    # The process

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        read_fd = os.dup(theirs.fileno())
        theirs.close()
        try:
            self._process = await self._spawned(read_fd)
        except OSError as problem:
            ours.close()
            raise SidecarGone(f"{self._command[0]} cannot be started: {problem.strerror or problem}") from problem
        finally:
            os.close(read_fd)
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=FRAME_MAX)
        try:
            async with asyncio.timeout(HELLO_WITHIN_S):
                self._greeted(await _frame(reader))
        except (TimeoutError, SidecarGone) as problem:
            why = f"it did not begin as it should: {str(problem) or 'no word in time'}"
            self._kill(why)
            raise SidecarGone(f"The engine's process is killed: {why}") from problem
        self._spawn(self._listen(reader, self._writer))
        self._spawn(self._watch(self._writer))

    async def _spawned(self, fd: int) -> asyncio.subprocess.Process:
        environment = {name: os.environ[name] for name in ENV_KEPT if name in os.environ}
        return await asyncio.create_subprocess_exec(
            *self._command,
            str(fd),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            pass_fds=(fd,),
            env=environment,
        )

    def _greeted(self, hello: Told) -> None:
        if hello.get("t") != "hello" or hello.get("protocol") != PROTOCOL:
            raise SidecarGone(f"it speaks protocol {hello.get('protocol')!r}, not {PROTOCOL}")
        log.info("Engine's process is up", pid=self.pid, baileys=hello.get("baileys"), node=hello.get("node"))

    def _kill(self, why: str) -> None:
        log.warning("Engine's process is killed; it is started again when a session needs it", pid=self.pid, reason=why)
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
        self._end(why)

    def _end(self, why: str) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        channels, self._channels = self._channels, {}
        for heard in channels.values():
            heard({"t": "gone", "why": why})

    # Frames

    def _write(self, frame: Told) -> None:
        assert self._writer is not None
        body = json.dumps(frame, separators=(",", ":")).encode()
        if len(body) <= FRAME_MAX and not self._writer.is_closing():
            self._writer.write(len(body).to_bytes(4, "big") + body)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        why = "its pipe closed"
        try:
            while True:
                self._heard(await _frame(reader))
        except SidecarGone as problem:
            why = str(problem)
        except Exception as problem:
            log.exception("Engine's process was not understood")
            why = repr(problem)
        if self._writer is writer:
            self._kill(why)

    def _heard(self, frame: Told) -> None:
        if frame.get("t") == "pong":
            self._pongs += 1
            return
        heard = self._channels.get(frame.get("s", 0))
        if heard is not None:
            heard(frame)

    async def _watch(self, writer: asyncio.StreamWriter) -> None:
        """One that spins, or is stopped, does not answer."""
        while self._writer is writer:
            before = self._pongs
            self._write({"t": "ping", "n": before})
            for _ in range(int(PONG_WITHIN_S / PING_EVERY_S)):
                await asyncio.sleep(PING_EVERY_S)
                if self._pongs != before:
                    break
            else:
                if self._writer is writer:
                    self._kill(f"it said nothing for {PONG_WITHIN_S:.0f} s")

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _frame(reader: asyncio.StreamReader) -> Told:
    """Raises SidecarGone at the end, and for what is no frame."""
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > FRAME_MAX:
            raise SidecarGone(f"it sent a frame of {size} bytes; at most {FRAME_MAX} are allowed")
        told = json.loads(await reader.readexactly(size))
    except (asyncio.IncompleteReadError, OSError) as problem:
        raise SidecarGone("its pipe closed") from problem
    except ValueError as problem:
        raise SidecarGone("it sent something that is no frame") from problem
    if not isinstance(told, dict):
        raise SidecarGone("it sent something that is no frame")
    return told
