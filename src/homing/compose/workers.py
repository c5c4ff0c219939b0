"""Several gateways behind one port: started together, started again when one ends, replaced one by one at SIGHUP.

The listening sockets are the supervisor's, and pass from a worker to the one that takes its place: what connected
in between waits for the next one to accept it. Each worker has a socket of its own (SO_REUSEPORT), so that the kernel
spreads connections over them.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import structlog

from homing.config import Misconfigured, Settings
from homing.listening import listeners

log = structlog.get_logger("homing")

VARIABLE = "HOMING_WORKER"
BACKLOG = 2048
READY_WITHIN_S = 120.0
AGAIN_FIRST_S, AGAIN_MOST_S, STEADY_S = 0.5, 30.0, 60.0
"""How soon an ended worker is followed by another one; twice as late each time, until one has run steadily."""
CANNOT_START = 2
"""The exit code of what waiting cannot cure: another worker would end the same way."""
_LEFT_OVER_S = 10.0


@dataclass(frozen=True, slots=True)
class WorkerSeat:
    """What a worker is told by its supervisor: descriptors of its sockets, whom to tell that it serves, its neighbours.

    `folder` holds a Unix socket of each worker, where the others ask for its figures.
    """

    number: int
    of: int
    sockets: list[int]
    ready: int
    folder: str
    parent: int


def seat() -> WorkerSeat | None:
    """What this process is told as a worker; None for a gateway by itself. What it starts itself is not told."""
    told = os.environ.pop(VARIABLE, None)
    return WorkerSeat(**json.loads(told)) if told else None


@dataclass(slots=True)
class _Slot:
    number: int
    sockets: Sequence[socket.socket]
    process: asyncio.subprocess.Process | None = None
    pause_s: float = field(default=AGAIN_FIRST_S)


class Workers:
    """The supervisor of a gateway's workers."""

    def __init__(self, settings: Settings, slots: Sequence[_Slot], folder: Path) -> None:
        self._settings, self._slots, self._folder = settings, slots, folder
        self._ending: signal.Signals | None = None
        self._exit_code = 0
        self._ended = asyncio.Event()
        self._reloading: asyncio.Task[None] | None = None

    async def run(self) -> tuple[int, bool]:
        """Keep all at work until told to end. Returns the exit code, and whether it was Ctrl-C."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end, number)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        keeping = [loop.create_task(self._keep(slot)) for slot in self._slots]
        try:
            await asyncio.wait(keeping)
        finally:
            if self._reloading is not None:
                self._reloading.cancel()
        for each in keeping:
            each.result()
        return self._exit_code, self._ending is signal.SIGINT

    def end(self, number: signal.Signals) -> None:
        """Pass it on to every worker: the first lets them finish, the second cuts off what is in progress."""
        self._ending = self._ending or number
        self._ended.set()
        for slot in self._slots:
            _tell(slot.process, number)

    def reload(self) -> None:
        """Replace the workers one by one, as `kill -HUP` asks."""
        if self._ending is None and (self._reloading is None or self._reloading.done()):
            self._reloading = asyncio.get_running_loop().create_task(self._replace_all())

    async def _keep(self, slot: _Slot) -> None:
        slot.process, _ = await self._start(slot)
        while slot.process is not None:
            process, began_s = slot.process, asyncio.get_running_loop().time()
            code = await process.wait()
            if slot.process is not process:  # another one has its place, and is waited for now
                continue
            if self._ended.is_set():
                return
            if code == CANNOT_START:
                log.error("Worker cannot start; the others are ended too", worker=slot.number)
                self._exit_code = code
                self.end(signal.SIGTERM)
                return
            steady = asyncio.get_running_loop().time() - began_s >= STEADY_S
            slot.pause_s = AGAIN_FIRST_S if steady else min(2 * slot.pause_s, AGAIN_MOST_S)
            log.error("Worker ended; another one is started", worker=slot.number, code=code, in_s=slot.pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), slot.pause_s)
            if self._ended.is_set():
                return
            slot.process, _ = await self._start(slot)

    async def _replace_all(self) -> None:
        log.info("Told to replace the workers", workers=len(self._slots))
        for slot in self._slots:
            if not await self._replace(slot):
                log.error("Worker does not become ready; the others stay as they are", worker=slot.number)
                return
        log.info("All workers are replaced", workers=len(self._slots))

    async def _replace(self, slot: _Slot) -> bool:
        """Another process in the same place, which serves before the one before it stops accepting."""
        new, ready = await self._start(slot)
        if not await ready:
            _tell(new, signal.SIGKILL)
            await new.wait()
            return False
        old, slot.process = slot.process, new
        if self._ending is not None:
            _tell(new, self._ending)
        _tell(old, signal.SIGUSR2)
        if old is not None:
            limit_s = self._settings.homing_stop_delay + self._settings.stop_grace_s + _LEFT_OVER_S
            try:
                await asyncio.wait_for(old.wait(), limit_s)
            except TimeoutError:
                log.error("Worker does not end, and is killed", worker=slot.number, pid=old.pid)
                _tell(old, signal.SIGKILL)
        return True

    async def _start(self, slot: _Slot) -> tuple[asyncio.subprocess.Process, asyncio.Task[bool]]:
        """A new worker, and whether it serves."""
        reads, writes = os.pipe()
        numbers = [each.fileno() for each in slot.sockets]
        told = WorkerSeat(slot.number, len(self._slots), numbers, writes, str(self._folder), os.getpid())
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "homing.cli",
                "serve",
                env={**os.environ, **self._given(), VARIABLE: json.dumps(asdict(told))},
                pass_fds=[*numbers, writes],
                start_new_session=True,
            )
        finally:
            os.close(writes)
        log.info("Worker started", worker=slot.number, pid=process.pid)
        return process, asyncio.get_running_loop().create_task(_hears(reads))

    def _given(self) -> Mapping[str, str]:
        """What the command line said, for workers that are not started by it."""
        return {"HOMING_HOST": self._settings.homing_host, "HOMING_PORT": str(self._settings.homing_port)}


async def supervise(settings: Settings) -> tuple[int, bool]:
    """Run so many workers as the settings say, until told to end. Returns the exit code, and whether it was Ctrl-C.

    Raises Misconfigured for a database that one process alone may work on, OSError for an address that cannot be had.
    """
    if settings.homing_database_url.startswith("sqlite"):
        raise Misconfigured(
            f"{settings.homing_workers} workers need PostgreSQL, and HOMING_DATABASE_URL names a SQLite file, which one"
            " gateway alone works on; run one worker, or name a PostgreSQL"
        )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="homing-")))
        slots = [
            _Slot(number, [stack.enter_context(each) for each in shared])
            for number, shared in enumerate(_shared(settings), start=1)
        ]
        return await Workers(settings, slots, folder).run()


def _shared(settings: Settings) -> list[list[socket.socket]]:
    """The sockets of each worker, all at one port, which must not be anybody's already: not another Homing's either."""
    for alone in listeners(settings.homing_host, settings.homing_port, backlog=1):
        alone.close()
    return [
        listeners(settings.homing_host, settings.homing_port, backlog=BACKLOG, shared=True)
        for _ in range(settings.homing_workers)
    ]


async def _hears(reads: int) -> bool:
    """Whether the worker says that it serves, before it ends and in time."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reads, "rb"))
    try:
        return bool(await asyncio.wait_for(reader.read(1), READY_WITHIN_S))
    except TimeoutError:
        return False
    finally:
        transport.close()


def _tell(process: asyncio.subprocess.Process | None, number: signal.Signals) -> None:
    if process is not None and process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(number)
