"""The ways that a message can take, each begun as a process of its own on the relays' core."""

import asyncio
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.model_fleet import REPOSITORY
from bench.peers import proxies
from homing.demo.processes import environment

LISTENS_WITHIN_S = 120.0
STRAIGHT, HAPROXY, NGINX = "straight", "HAProxy", "nginx"
AIOHTTP, FASTAPI, LARAVEL = "aiohttp relay", "FastAPI + httpx", "the Laravel way"
HOMING, KEYED = "Homing", "Homing, keyed"


@dataclass(frozen=True, slots=True)
class Cores:
    """The relay's, and that of the clients and the instance. None where there are not two."""

    relay: int | None
    rest: int | None

    @classmethod
    def of_here(cls) -> "Cores":
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[1]) if len(usable) > 1 and shutil.which("taskset") else cls(None, None)


@dataclass(slots=True)
class Processes:
    """What was begun, by name. All end with the block that opened them."""

    folder: Path
    begun: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str | Path], core: int | None, more: Mapping[str, str]) -> None:
        pinned = ["taskset", "-c", str(core)] if core is not None else []
        with (self.folder / f"{name}.log").open("wb") as log:
            self.begun[name] = subprocess.Popen(
                [*pinned, *map(str, command)], stdout=log, stderr=log, cwd=self.folder, env=environment(more)
            )

    async def listening(self, name: str, port: int) -> None:
        """Until the port takes a connection. Raises AssertionError with the process's last words instead."""
        deadline_s = time.monotonic() + LISTENS_WITHIN_S
        while time.monotonic() < deadline_s and self.begun[name].poll() is None:
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{name} did not listen: {(self.folder / f'{name}.log').read_text()[-500:]}")


@contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    begun = Processes(folder)
    try:
        yield begun
    finally:
        for each in begun.begun.values():
            each.terminate()
        for each in begun.begun.values():
            try:
                each.wait(10)
            except subprocess.TimeoutExpired:
                each.kill()


def command_of(way: str, folder: Path, port: int, upstream: int, url: str) -> list[str | Path] | str:
    """How the peer is begun, or in words what is missing for it."""
    python = [sys.executable, "-m"]
    match way:
        case "HAProxy" | "nginx":
            return _proxy(way, folder, port, upstream)
        case "aiohttp relay":
            return [*python, "bench.peers.aiohttp_relay", str(port), str(upstream)]
        case "FastAPI + httpx":
            if not all(map(importlib.util.find_spec, ("fastapi", "httpx"))):
                return "not installed (pip install fastapi httpx)"
            return [*python, "bench.peers.fastapi_relay", str(port), str(upstream)]
        case "the Laravel way":
            return [*python, "bench.peers.laravel_way", str(port), str(upstream), url]
        case _:
            raise ValueError(f"there is no peer {way}")


def _proxy(way: str, folder: Path, port: int, upstream: int) -> list[str | Path] | str:
    name = way.lower()
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if program is None:
        return f"not installed (apt-get install {name})"
    told = proxies.HAPROXY if way == HAPROXY else proxies.NGINX
    config = folder / f"{name}.conf"
    config.write_text(told.format(port=port, upstream=upstream, folder=folder))
    return [program, "-db", "-f", config] if way == HAPROXY else [program, "-e", "stderr", "-c", config]


PATHS = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY}/src:{os.environ.get('PYTHONPATH', '')}"}
