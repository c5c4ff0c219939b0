"""The clients and the instance in C: compiled where they run, and what the clients saw."""

import asyncio
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "native"


class NoCompiler(Exception):
    """There is nothing here that compiles C; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Load:
    """How the clients ask. `rate` 0 is a closed loop; any other an open one, with so many requests a second."""

    connections: int
    for_s: float
    warm_s: float = 1.0
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the clients saw: answers that were 200, others, and how long answers took in microseconds."""

    answers: int
    refused: int
    for_s: float
    p50_us: float
    p99_us: float
    p999_us: float
    clients_cpu_s: float

    @property
    def per_s(self) -> float:
        return self.answers / self.for_s


def compiled(folder: Path) -> tuple[Path, Path]:
    """The clients' program and the instance's. Raises NoCompiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompiler("there is no C compiler (apt-get install gcc libc6-dev)")
    made = []
    for name in ("load", "upstream"):
        program = folder / name
        subprocess.run([compiler, "-O2", "-o", program, SOURCES / f"{name}.c"], check=True, capture_output=True)
        made.append(program)
    return made[0], made[1]


async def asked(program: Path, port: int, load: Load, request: Path, *, accounts: int, core: int | None) -> Seen:
    """The clients' figures for one round. Raises RuntimeError with what they said when they gave up."""
    command = ["taskset", "-c", str(core)] if core is not None else []
    told = [port, load.connections, load.warm_s, load.for_s, load.rate, accounts, request]
    clients = await asyncio.create_subprocess_exec(
        *command, program, *map(str, told), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(load.warm_s + load.for_s + 60):
        out, said = await clients.communicate()
    if clients.returncode != 0:
        raise RuntimeError(f"clients of port {port} gave up: {said.decode()[-300:]}")
    told_back = json.loads(out)
    return Seen(
        answers=told_back["answers"],
        refused=told_back["refused"],
        for_s=told_back["for_s"],
        p50_us=told_back["p50_us"],
        p99_us=told_back["p99_us"],
        p999_us=told_back["p999_us"],
        clients_cpu_s=told_back["cpu_s"],
    )
