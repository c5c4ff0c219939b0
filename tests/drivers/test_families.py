"""Families come by entry point, also those of packages that nobody here knows."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest
from aiohttp import web

from homing import plugins
from homing.drivers.calling import GatewayDriver
from homing.drivers.registry import GROUP, NoDrivers, families, unknown_driver

OUTSIDE = Path(__file__).parent.parent / "outside"

USE = """
import asyncio, json, sys
from datetime import UTC, datetime
from homing.drivers import drivers_over
from homing.drivers.http.wire import Wire
from homing.ports import OutgoingText
from homing.ports.instances.reports import RawReport, ReportSecrets

async def main(url):
    wire = Wire()
    drivers = drivers_over(wire, default_api_key="relay-key")
    relay = drivers.of("relay")
    listed = await relay.sessions(url, timeout_s=5)
    sent = await relay.send(url, OutgoingText("ann", 1, "628000000001", "hello", "3EB0AA", 0), timeout_s=5)
    await wire.close()
    sessions = {name: [row.status.value, row.phone] for name, row in listed.sessions.items()}
    told = RawReport(b'{"what":"online","line":"ann","number":"628000000009"}', {"x-relay-key": "relay-key"})
    reports = drivers.reports_of("relay")
    proof = reports.proof(told, ReportSecrets(key="relay-key"), datetime.now(UTC))
    [report] = reports.read(told)
    refused = reports.proof(told, ReportSecrets(key="another"), datetime.now(UTC))
    heard = [type(proof).__name__, type(refused).__name__, report.kind, report.session_id]
    families = sorted(drivers.families())
    print(json.dumps({"families": families, "sessions": sessions, "sent": sent.message_id, "heard": heard}))

asyncio.run(main(sys.argv[1]))
"""


def install(site: Path, *, driver: str = "homing_relay:RelayDriver", name: str = "relay") -> None:
    """A package that was installed: importable, and with its metadata beside it."""
    info = site / f"{name}_for_homing-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-for-homing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {driver}\n")
    if not (site / "homing_relay").exists():
        (site / "homing_relay").symlink_to(OUTSIDE / "homing_relay")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    families.cache_clear()
    yield tmp_path
    families.cache_clear()


async def relay(asked: list[tuple[str, str | None]]) -> web.AppRunner:
    async def lines(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers.get("X-Relay-Key")))
        return web.json_response({"lines": [{"name": "ann", "state": "online", "number": "628000000009"}]})

    async def texts(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers.get("X-Relay-Key")))
        assert await request.json() == {"to": "628000000001", "text": "hello"}
        return web.json_response({"ticket": "T-1"}, status=201)

    app = web.Application()
    app.add_routes([web.get("/lines", lines), web.post("/lines/ann/texts", texts)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


async def test_a_package_from_outside_the_tree_brings_a_family_that_lists_and_sends(tmp_path: Path) -> None:
    install(tmp_path)
    asked: list[tuple[str, str | None]] = []
    runner = await relay(asked)
    try:
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            USE,
            f"http://127.0.0.1:{runner.addresses[0][1]}",
            env={**os.environ, "PYTHONPATH": path},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await running.communicate()
    finally:
        await runner.cleanup()
    told = json.loads(out)
    assert {"relay", "webjs", "waha"} <= set(told["families"])
    assert told["sessions"] == {"ann": ["connected", "628000000009"]}
    assert told["sent"] == "T-1"
    assert told["heard"] == ["Proven", "ReportRefused", "session_ready", "ann"]
    assert asked == [("/lines", "relay-key"), ("/lines/ann/texts", "relay-key")]


def test_the_page_that_leads_through_it_quotes_it() -> None:
    page = (OUTSIDE.parent.parent / "docs" / "writing-a-driver.md").read_text()
    whole = "\n".join(each.read_text() for each in sorted((OUTSIDE / "homing_relay").glob("*.py")))
    there = {line.strip() for line in whole.splitlines()}
    quoted = [line for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    assert len(quoted) > 60
    assert [line for line in quoted if line.strip() not in there] == []
    assert {name for name in GatewayDriver.__abstractmethods__ if f"`{name}`" not in page} == set()


def test_it_is_about_a_hundred_lines() -> None:
    assert len((OUTSIDE / "homing_relay" / "__init__.py").read_text().splitlines()) <= 110


def test_webjs_is_registered_as_all_the_others_are(site: Path) -> None:
    assert families()["webjs"].family == "webjs"  # type: ignore[attr-defined]
    install(site)
    families.cache_clear()
    assert "relay" in families()


def test_who_takes_the_name_of_one_of_ours_is_not_used(site: Path) -> None:
    (site / "impostor.py").write_text(
        "from homing_relay import RelayDriver\n\n\nclass Waha(RelayDriver):\n    family = 'waha'\n"
    )
    install(site, name="waha", driver="impostor:Waha")
    assert families()["waha"].__module__.startswith("homing.drivers.waha")


@pytest.mark.parametrize("driver", ["homing_relay:Nothing", "no_such_package:Driver", "homing_relay:STATUSES"])
def test_a_broken_package_takes_nobody_elses_driver_away(site: Path, driver: str) -> None:
    install(site, driver=driver)
    assert "relay" not in families() and "webjs" in families()


def test_a_driver_that_calls_itself_otherwise_is_not_used(site: Path) -> None:
    install(site, name="relais")
    assert "relais" not in families()


def test_a_family_nobody_speaks_is_answered_with_those_there_are(site: Path) -> None:
    install(site)
    sentence = unknown_driver("telegram")
    assert "'telegram'" in sentence
    assert "relay" in sentence and "webjs" in sentence


def test_where_nothing_is_registered_the_sentence_says_what_to_do(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: ())
    with pytest.raises(NoDrivers, match="install Homing again"):
        families()
