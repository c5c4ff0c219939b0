"""A fleet of an earlier release, from this repository's history, while the database is brought to this one's schema."""

import asyncio
import io
import json
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from homing.demo.processes import environment
from homing.store.db.migrating import newest_revision, schema_version
from tests.ports import free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.walk]

ROOT = Path(__file__).parents[2]
VERSIONS = "src/homing/store/migrations/versions"
READY_WITHIN_S = 60.0
RELEASES = {"0005": "0006_firm_ground.py", "0006": "0007_any_fleet.py"}
"""The revision that a release works with, and the migration that the next one brought."""


def _git(*words: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


def last_commit_of(revision: str) -> str | None:
    """The last commit before the next migration came; None where the history does not reach that far."""
    added = _git("log", "--diff-filter=A", "--format=%H", "--", f"{VERSIONS}/{RELEASES[revision]}").decode().split()
    if not added:
        return None
    commit = f"{added[-1]}^"
    names = _git("ls-tree", "--name-only", commit, f"{VERSIONS}/").decode().split()
    return commit if names and Path(max(names)).name.startswith(revision) else None


@dataclass(frozen=True, slots=True)
class Release:
    """The code of a release, and what its processes are told."""

    sources: Path
    folder: Path

    def start(self, *words: str, **settings: str) -> "subprocess.Popen[bytes]":
        told = environment(settings | {"PYTHONPATH": str(self.sources), "HOMING_STOP_DELAY": "0"})
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "-P", "-m", "homing.cli", *words]
            return subprocess.Popen(command, cwd=self.folder, env=told, stdout=log, stderr=log)

    def last_words(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]


@pytest.fixture(params=sorted(RELEASES))
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Release:
    commit = last_commit_of(request.param)
    if commit is None:
        pytest.skip(f"NOT RUN: the history does not reach back to a release of revision {request.param}")
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "src"))) as archive:
        archive.extractall(tmp_path / "older", filter="data")
    return Release(tmp_path / "older" / "src", tmp_path)


async def until(what: Callable[[], Any], process: "subprocess.Popen[bytes]", release: Release) -> Any:
    """What it answers, once that is something."""
    deadline_s = time.monotonic() + READY_WITHIN_S
    while True:
        found = what()
        found = await found if asyncio.iscoroutine(found) else found
        if found:
            return found
        assert process.poll() is None, release.last_words()
        assert time.monotonic() < deadline_s, release.last_words()
        await asyncio.sleep(0.05)


@dataclass(slots=True)
class OldFleet:
    """A fleet whose every process is of the older release."""

    release: Release
    state: dict[str, Any]
    http: aiohttp.ClientSession
    ports: list[int]

    async def send(self, at: str, number: int) -> tuple[int, Any]:
        account = self.state["accounts"][number % len(self.state["accounts"])]
        body = {"workspace_id": 1, "account_uuid": account["uuid"], "message": f"{number} by {at}"}
        body["contact_uuid"] = self.state["contacts"][0]["uuid"]
        return await self.ask("POST", f"{at}/api/v1/messages/send", body)

    async def ask(self, method: str, url: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.state['token']}"}
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    @asynccontextmanager
    async def gateway(self, release: Release) -> AsyncIterator[str]:
        """One more gateway beside the fleet's own, of this release."""
        port = self.ports.pop()
        numbered = {f"WHATSAPP_INSTANCE_{n}": each["url"] for n, each in enumerate(self.state["instances"], 1)}
        process = release.start(
            "serve",
            HOMING_PORT=str(port),
            HOMING_DATABASE_URL=self.state["database"],
            WHATSAPP_API_KEY=self.state["instance_api_key"],
            WHATSAPP_HMAC_SECRET=self.state["hmac_secret"],
            HOMING_LOG_FORMAT="json",
            **numbered,
        )
        url = f"http://127.0.0.1:{port}"

        async def ready() -> bool:
            try:
                async with self.http.get(f"{url}/ready") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        try:
            await until(ready, process, release)
            yield url
        finally:
            process.terminate()
            process.wait(30)
        assert process.returncode in (0, -signal.SIGTERM)


@asynccontextmanager
async def fleet_of(release: Release, database_url: str) -> AsyncIterator[OldFleet]:
    ports = free_ports(8)
    state_file = release.folder / "state.json"
    size = ["--accounts", "4", "--contacts", "2", "--instances", "2", "--instance-ports", str(ports[0])]
    place = ["--database", database_url, "--state-file", str(state_file), "--port", str(ports[2])]
    demo = release.start("demo", *size, *place)
    try:
        await until(state_file.exists, demo, release)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
            yield OldFleet(release, json.loads(state_file.read_text()), http, ports[3:])
    finally:
        demo.terminate()
        demo.wait(30)


async def test_a_fleet_of_an_earlier_release_serves_and_restarts_on_this_schema(
    older: Release, empty_postgres_url: str, tmp_path: Path
) -> None:
    newer = Release(ROOT / "src", tmp_path)
    async with fleet_of(older, empty_postgres_url) as fleet:
        at = fleet.state["api_url"]
        assert (await fleet.send(at, 0))[0] == 200
        migrated = newer.start("db", "migrate", HOMING_DATABASE_URL=fleet.state["database"])
        assert await asyncio.to_thread(migrated.wait, 60) == 0, newer.last_words()
        assert (await schema_version(empty_postgres_url)).revision == newest_revision()

        # Those that were running serve on, what they have to read and to write among it.
        for number in range(1, 5):
            assert (await fleet.send(at, number))[0] == 200
        status, contact = await fleet.ask("POST", f"{at}/api/v1/contacts", {"workspace_id": 1, "phone": "+62811801642"})
        assert status == 201, contact

        # They may be started again; and the next release works beside them.
        async with fleet.gateway(older) as again, fleet.gateway(newer) as beside:
            for url in (again, beside, at):
                for number in range(5, 9):
                    status, answer = await fleet.send(url, number)
                    assert status == 200, answer
                status, found = await fleet.ask("GET", f"{url}/api/v1/contacts")
                assert contact["uuid"] in {each["uuid"] for each in found["data"]}
                status, accounts = await fleet.ask("GET", f"{url}/api/v1/accounts")
                assert [each["status"] for each in accounts["data"]] == ["connected"] * 4, url
            await _moves_are_followed(fleet, by=beside, seen_from=(again, beside, at))
            status, new = await fleet.ask(
                "POST", f"{beside}/api/v1/contacts", {"workspace_id": 1, "phone": "+62811801643"}
            )
            assert status == 201, new
            status, shown = await fleet.ask("GET", f"{again}/api/v1/contacts/{new['uuid']}")
            assert status == 200, shown


async def _moves_are_followed(fleet: OldFleet, *, by: str, seen_from: tuple[str, ...]) -> None:
    """A session moved by one release is found by the other."""
    account, [one, two] = fleet.state["accounts"][0], [each["url"] for each in fleet.state["instances"]]
    to = two if account["instance_url"] == one else one
    status, moved = await fleet.ask("POST", f"{by}/api/v1/accounts/{account['uuid']}/migrate", {"to": to})
    assert status in (200, 202), moved
    deadline_s = time.monotonic() + 30
    for url in seen_from:
        while True:
            status, answer = await fleet.send(url, 0)
            assert status == 200, answer
            if answer["instance_url"] == to:
                break
            assert time.monotonic() < deadline_s, answer
            await asyncio.sleep(0.1)
