"""Sends through each way in turn, round after round, so that the machine's moods fall on all; medians and ratios."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

from bench.fleet import SEND, free_ports
from bench.model_fleet import settings_for
from bench.peers.native import Load, NoCompiler, Seen, asked, compiled
from bench.peers.ways import (
    AIOHTTP,
    FASTAPI,
    HAPROXY,
    HOMING,
    KEYED,
    LARAVEL,
    NGINX,
    PATHS,
    STRAIGHT,
    Cores,
    Processes,
    command_of,
    processes,
)
from bench.report import Report
from homing.compose import open_stores
from homing.model.directory.access import Scope
from homing.model.fleet import (
    AccountUuid,
    Epoch,
    InstanceUrl,
    MoveKind,
    Rebinding,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.ports import NewAccount
from homing.serve.callers.keyring import new_key
from homing.world import SystemClock, SystemEntropy

ACCOUNTS = 100
CONNECTIONS = 64
MANY = 1_000
OPEN_PER_S = 300
OF_HAPROXY, OF_AIOHTTP, OF_UNKEYED, OF_LARAVEL = 0.25, 2.0, 0.6, 50.0
ADDED_P99_MS = 2.0
TAIL = 5.0
NOISY = 1.25
"""Straight rounds that differ by more than this factor: ratios hold, single figures do not."""

PEERS = (HAPROXY, NGINX, AIOHTTP, FASTAPI, LARAVEL)
ONE = WorkspaceId(1)

__all__ = ["NoCompiler", "run"]


@dataclass(frozen=True, slots=True)
class Way:
    """A port, and the request that is asked there."""

    port: int
    request: Path


@dataclass(slots=True)
class Bench:
    """Everything that was begun, and what is missing, by name with the reason."""

    load: Path
    cores: Cores
    ways: dict[str, Way]
    missing: dict[str, str]

    async def round(self, name: str, load: Load) -> Seen:
        way = self.ways[name]
        return await asked(self.load, way.port, load, way.request, accounts=ACCOUNTS, core=self.cores.rest)


async def run(url: str, *, rounds: int, for_s: float) -> Report:
    """Closed loops of 64 clients for the rates, an open one of 300/s for what is added. Raises NoCompiler."""
    report = Report(f"Homing and its peers on one core: {CONNECTIONS} connections, {rounds} rounds in turn")
    async with _opened(url) as bench:
        rates = await _in_turn(bench, list(bench.ways), Load(CONNECTIONS, for_s), rounds)
        added = await _in_turn(bench, [STRAIGHT, HOMING], Load(CONNECTIONS, for_s, rate=OPEN_PER_S), rounds)
        many = await _in_turn(bench, [HOMING], Load(MANY, for_s, warm_s=3), rounds)
        alone = await _in_turn(bench, [STRAIGHT, HOMING], Load(1, for_s), rounds)
    _tell_circumstances(report, bench, rates[STRAIGHT])
    _tell_rates(report, rates)
    _tell_added(report, added)
    _tell_tails(report, {"1 connection": alone[HOMING], f"{CONNECTIONS}": rates[HOMING], f"{MANY:,}": many[HOMING]})
    return report


async def _in_turn(bench: Bench, names: Sequence[str], load: Load, rounds: int) -> dict[str, list[Seen]]:
    chance = Random(1)
    seen: dict[str, list[Seen]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in chance.sample(list(names), len(names)):
            seen[name].append(await bench.round(name, load))
    return seen


# --- what is said of it -------------------------------------------------------------------------------------------


def _tell_circumstances(report: Report, bench: Bench, straight: Sequence[Seen]) -> None:
    pinned = "a core for the relay, another for clients and instance" if bench.cores.relay is not None else "NOT pinned"
    report.add("pinned", "", pinned)
    for name, why in bench.missing.items():
        report.add(name, "", f"MISSING: {why}")
    spread = max(each.per_s for each in straight) / max(1.0, min(each.per_s for each in straight))
    said = "NOISY: only ratios hold" if spread > NOISY else "quiet"
    report.add("the machine", "", f"{said} (straight rounds differ by {spread:.2f}×)")


def _tell_rates(report: Report, rates: dict[str, list[Seen]]) -> None:
    per_s = {name: median(each.per_s for each in seen) for name, seen in rates.items()}
    for name, rate in per_s.items():
        report.add(f"{name}: sends/s", "", f"{rate:,.0f}")
        report.rows[-1].figures.update(per_s=rate)
    refused = sum(each.refused for seen in rates.values() for each in seen)
    report.add("answers other than 200", "0", str(refused), refused == 0)
    for base, claimed in ((HAPROXY, OF_HAPROXY), (AIOHTTP, OF_AIOHTTP), (LARAVEL, OF_LARAVEL)):
        if base in per_s:
            ratio = per_s[HOMING] / max(1.0, per_s[base])  # one that answered nobody in a round counts as one a second
            report.add(f"Homing against {base}", f"≥ {claimed:g}×", f"{ratio:.2f}×", ratio >= claimed)
    keyed = per_s[KEYED] / per_s[HOMING]
    report.add("keyed against unkeyed", f"≥ {OF_UNKEYED:g}×", f"{keyed:.2f}×", keyed >= OF_UNKEYED)


def _tell_added(report: Report, seen: dict[str, list[Seen]]) -> None:
    for share in ("p50", "p99", "p999"):
        straight, through = (median(getattr(each, f"{share}_us") for each in seen[way]) for way in (STRAIGHT, HOMING))
        added_ms = (through - straight) / 1_000
        claimed = f"≤ {ADDED_P99_MS:g} ms" if share == "p99" else ""
        kept = not claimed or added_ms <= ADDED_P99_MS
        report.add(f"added at {OPEN_PER_S}/s, {share}", claimed, f"{added_ms:.2f} ms", kept)


def _tell_tails(report: Report, seen: dict[str, list[Seen]]) -> None:
    for connections, rounds in seen.items():
        p50, p99, p999 = (median(getattr(each, f"{share}_us") for each in rounds) for share in ("p50", "p99", "p999"))
        claimed = "" if connections.startswith("1 ") else f"p99 ≤ {TAIL:g}× p50"
        said = f"p50 {p50 / 1e3:.2f} ms, p99 {p99 / 1e3:.2f} ms, p99.9 {p999 / 1e3:.2f} ms: {p99 / max(1.0, p50):.1f}×"
        report.add(f"Homing at {connections}", claimed, said, not claimed or p99 <= TAIL * p50)


# --- what is begun ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as name, processes(Path(name)) as begun:
        folder = Path(name)
        load, upstream = compiled(folder)
        first = free_ports(len(PEERS) + 2)
        bench = Bench(load, Cores.of_here(), {}, {})
        (folder / "list.json").write_text(_listed())
        begun.start(STRAIGHT, [upstream, str(first), "1", folder / "list.json"], bench.cores.rest, {})
        await begun.listening(STRAIGHT, first)
        token = await _populated(url, first)
        straight = _request(folder, STRAIGHT, "/api/messages/send", "")
        bench.ways[STRAIGHT] = Way(first, straight)
        await _gateway(begun, bench, url, first + 1)
        bench.ways[HOMING] = Way(first + 1, _request(folder, HOMING, SEND, f"Authorization: Bearer {token}\r\n"))
        keyed = f"Authorization: Bearer {token}\r\nIdempotency-Key: @KEY_OF_16_CHAR@\r\n"
        bench.ways[KEYED] = Way(first + 1, _request(folder, KEYED, SEND, keyed))
        for place, peer in enumerate(PEERS):
            port = first + 2 + place
            command = command_of(peer, folder, port, first, url)
            if isinstance(command, str):
                bench.missing[peer] = command
                continue
            begun.start(peer, command, bench.cores.relay, PATHS)
            await begun.listening(peer, port)
            bench.ways[peer] = Way(port, straight)
        yield bench


async def _gateway(begun: Processes, bench: Bench, url: str, port: int) -> None:
    told = PATHS | {
        "HOMING_PORT": str(port),
        "HOMING_DATABASE_URL": url,
        "HOMING_LOG_LEVEL": "error",
        "HOMING_SYNC_SCHEDULE": "",
        "HOMING_POLL_SHARE": "0",
        "HOMING_CONNECTIONS_PER_ADDRESS": "0",
    }
    begun.start(HOMING, [sys.executable, "-m", "homing.cli", "serve"], bench.cores.relay, told)
    await begun.listening(HOMING, port)
    await asyncio.sleep(5)  # leases are taken, routes are read


def _request(folder: Path, name: str, path: str, headers: str) -> Path:
    """What each client sends; the clients put the account's number and a fresh key into their places."""
    uuid = "peer-@ACCOUNT_12@"
    body = json.dumps({"workspace_id": 1, "account_uuid": uuid, "phone": "+62811801641", "message": "hello"})
    # The places are as long as what comes into them, so that the length is right before and after.
    length = len(body)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    file = folder / f"{name}.request"
    file.write_text(f"{head}{headers}\r\n{body}", newline="")
    return file


def _listed() -> str:
    rows = [{"session_id": f"webjs_{n}", "status": "connected", "phone_number": _phone(n)} for n in range(ACCOUNTS)]
    return json.dumps({"success": True, "sessions": rows, "total": len(rows)})


def _phone(number: int) -> str:
    return f"62812{number:08}"


async def _populated(url: str, port: int) -> str:
    """Every session placed at the instance; the token of a key that may send."""
    key, token = new_key(SystemEntropy(), SystemClock(), workspace=None, scope=Scope.SEND, name="bench")
    instance = InstanceUrl(f"http://127.0.0.1:{port}")
    async with open_stores(settings_for(url)) as stores:
        directory = stores.directory
        await directory.add_key(key)
        await directory.create_instance(instance, driver="webjs")
        changes = []
        for number in range(ACCOUNTS):
            uuid, session = AccountUuid(f"peer-{number:012}"), SessionId(f"webjs_{number}")
            account = await directory.create_account(
                NewAccount(uuid, ONE, session, f"+{_phone(number)}", "", Takeover.MANUAL)
            )
            changes.append(Rebinding(account.placement, instance, Epoch(1), MoveKind.PLACEMENT, "it began here"))
        await directory.rebind(changes)
        for change in changes:
            await directory.set_status(change.session_id, SessionStatus.CONNECTED)
    return token
