"""A sync of a large fleet, beside the seed's way of doing it: ask for each session, then scan for the lost ones."""

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.report import Report
from homing.compose import open_stores, open_sync
from homing.config import Settings
from homing.decide.sync import Result
from homing.drivers.wire import Wire
from homing.model.faults import Fault
from homing.model.fleet import AccountUuid, Epoch, InstanceUrl, MoveKind, Rebinding, SessionId, Takeover, WorkspaceId
from homing.ports import NewAccount

WRONG = 0.3


@dataclass(slots=True)
class ModelInstance:
    """A gateway that only lists, and counts how often it is asked."""

    sessions: set[str] = field(default_factory=set)
    calls: int = 0
    url: str = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                self.calls += 1
                status, body = self._say(line.split()[1].decode())
                head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _say(self, path: str) -> tuple[int, bytes]:
        parts = urlsplit(path).path.split("/")
        if len(parts) == 5:
            held = parts[3] in self.sessions
            said = _row(parts[3]) if held else {"error": "Session not found"}
            return (200 if held else 404), json.dumps(said).encode()
        rows = [_row(session) for session in self.sessions]
        return 200, json.dumps({"success": True, "sessions": rows, "total": len(rows)}).encode()


def _row(session: str) -> dict[str, object]:
    return {"session_id": session, "workspace_id": 1, "status": "connected", "phone_number": "1"}


@asynccontextmanager
async def _instances(count: int) -> AsyncIterator[list[ModelInstance]]:
    async with AsyncExitStack() as stack:
        models = [ModelInstance() for _ in range(count)]
        for model in models:
            server = await asyncio.start_server(model.answer, "127.0.0.1", 0, backlog=1024)
            model.url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
            stack.callback(server.close)
        yield models


async def run(*, instances: int, sessions: int) -> Report:
    """So many sessions on so many model instances, a third of them recorded in the wrong place."""
    report = Report(f"One check of the whole fleet ({sessions:,} sessions, {instances} instances, {WRONG:.0%} wrong)")
    with tempfile.TemporaryDirectory() as folder:
        async with _instances(instances) as models:
            settings = Settings(  # type: ignore[call-arg]
                _env_file=None,
                homing_database_url=f"sqlite:///{folder}/homing.db",
                instances=tuple(InstanceUrl(model.url) for model in models),
            )
            records = await _populate(settings, models, sessions)
            seed_calls, seed_s = await _seeds_way(records, models)
            for model in models:
                model.calls = 0
            began_s = time.monotonic()
            async with open_sync(settings) as sync:
                mended = await sync.run()
                took_s = time.monotonic() - began_s
                again = await sync.run(force=True)
    calls = mended.instance_calls
    wrong = sum(1 for number in range(sessions) if _is_wrong(number))
    report.add(
        "sessions mended", str(wrong), str(mended.counts[Result.UPDATED]), mended.counts[Result.UPDATED] == wrong
    )
    right = again.counts[Result.VERIFIED]
    report.add("right afterwards", str(sessions), str(right), right == sessions)
    report.add("calls to instances", str(instances), str(calls), calls == instances)
    report.add("calls, against the seed's way", "≥ 50× fewer", f"{seed_calls / calls:,.0f}×", seed_calls / calls >= 50)
    report.add(
        "wall time, against the seed's way", "", f"{took_s:.2f} s against {seed_s:.2f} s ({seed_s / took_s:.0f}×)"
    )
    return report


def _is_wrong(number: int) -> bool:
    return number % 10 < WRONG * 10


async def _populate(settings: Settings, models: list[ModelInstance], sessions: int) -> list[tuple[str, int]]:
    """Accounts in the directory; returns each session with the number of the instance that the record names."""
    records = []
    async with open_stores(settings) as stores:
        directory = stores.directory
        for model in models:
            await directory.create_instance(InstanceUrl(model.url))
        for start in range(0, sessions, 500):
            numbers = range(start, min(start + 500, sessions))
            made = await asyncio.gather(*(directory.create_account(_account(number)) for number in numbers))
            changes = []
            for number, account in zip(numbers, made, strict=True):
                recorded = number % len(models)
                holder = (recorded + 1) % len(models) if _is_wrong(number) else recorded
                models[holder].sessions.add(account.session_id)
                records.append((account.session_id, recorded))
                url = InstanceUrl(models[recorded].url)
                changes.append(Rebinding(account.placement, url, Epoch(1), MoveKind.PLACEMENT, "placed"))
            await directory.rebind(changes)
    return records


def _account(number: int) -> NewAccount:
    uuid = f"00000000-0000-7000-8000-{number:012}"
    session, phone = SessionId(f"webjs_1_{number}"), f"62812{number:08}"
    return NewAccount(AccountUuid(uuid), WorkspaceId(1), session, phone, "", Takeover.AUTO)


async def _seeds_way(records: list[tuple[str, int]], models: list[ModelInstance]) -> tuple[int, float]:
    """Ask the recorded instance for each session's status, and where it is not, all others in turn."""
    wire = Wire()
    began_s = time.monotonic()
    for session, recorded in records:
        if not await _has(wire, models[recorded], session):
            for number, model in enumerate(models):
                if number != recorded and await _has(wire, model, session):
                    break
    took_s = time.monotonic() - began_s
    await wire.close()
    return sum(model.calls for model in models), took_s


async def _has(wire: Wire, model: ModelInstance, session: str) -> bool:
    reply = await wire.call("GET", model.url, f"/api/sessions/{session}/status?api_key=k", timeout_s=5)
    assert not isinstance(reply, Fault), reply
    return reply.status == 200
