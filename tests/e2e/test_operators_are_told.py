"""An instance dies under two gateways: operators are told soon and once, the ledger has it, logs say not too much."""

import asyncio
import csv
import io
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.fleet import Fleet, open_fleet

pytestmark = [pytest.mark.e2e, pytest.mark.walk]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
WORDS = "the words between two people"
TOLD_WITHIN_S = 5.0


class Pager:
    """An operator's receiver: what was posted, and when."""

    def __init__(self) -> None:
        self.came: list[tuple[datetime, dict[str, Any]]] = []

    def of(self, kind: str) -> list[tuple[datetime, dict[str, Any]]]:
        return [(at, told) for at, told in self.came if told["data"]["kind"] == kind]


@pytest.fixture
def pager() -> Iterator[tuple[Pager, str]]:
    told = Pager()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.came.append((datetime.now(UTC), json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield told, f"http://127.0.0.1:{server.server_port}/in"
    server.shutdown()
    server.server_close()


async def until(seen: Any, within_s: float, what: str) -> None:
    deadline_s = time.monotonic() + within_s
    while not seen():
        assert time.monotonic() < deadline_s, f"{what} did not come within {within_s} s"
        await asyncio.sleep(0.1)


async def test_an_outage_is_told_once_kept_in_the_ledger_and_in_no_log_with_names(
    empty_postgres_url: str, pager: tuple[Pager, str], tmp_path: Path
) -> None:
    told, url = pager
    settings = {"HOMING_ALLOW_NETS": "127.0.0.1/32", "HOMING_LOG_LEVEL": "debug", "HOMING_SEND_DEADLINE": "40"}
    options: dict[str, Any] = {"gateways": 2, "accounts": 8, "contacts": 4, "instances": 3, "settings": settings}
    async with open_fleet(database_url=empty_postgres_url, **options) as fleet:
        body = {"name": "pager", "kind": "webhook", "target": url}
        status, made = await fleet.call("POST", "/api/v1/receivers", body)
        assert status == 201, made
        victim = fleet.residents[0].instance_url
        lost = fleet.on(victim)
        killed_at = datetime.now(UTC)
        fleet.kill_instance(victim)
        sent = await fleet.send(lost[0], WORDS, key="k1")
        assert sent.status == 200, sent.document
        await until(lambda: told.of("instance_gone"), 30, "the alert")
        came_at, document = told.of("instance_gone")[0]
        [alert] = document["data"]["alerts"]
        raised_at = datetime.fromisoformat(alert["raised_at"])
        assert (came_at - raised_at).total_seconds() <= TOLD_WITHIN_S
        assert (alert["subject"], alert["instance"], alert["host"]) == (victim, victim, "127.0.0.1")
        for resident in lost:
            assert (await fleet.send(resident, WORDS)).status == 200
        back_s = (datetime.now(UTC) - killed_at).total_seconds()
        await _is_in_the_ledger(fleet, [each.id for each in lost], back_s)
        await until(lambda: told.of("instance_down"), 90, "that it is down for long")
        counted = Counter((of["type"], each["id"]) for _, of in told.came for each in of["data"]["alerts"])
        assert set(counted.values()) == {1}, "two gateways, one notification"
        _says_no_more_than_it_may(fleet)


async def _is_in_the_ledger(fleet: Fleet, accounts: list[int], at_most_s: float) -> None:
    month = f"{datetime.now(UTC):%Y-%m}"
    for _ in range(100):
        page = await fleet.api(f"/downtime?month={month}", gateway=1)
        rows = {row["account_id"]: row for row in page["data"] if row["account_id"] in accounts}
        if len(rows) == len(accounts) and not any(row["down_now"] for row in rows.values()):
            break
        await asyncio.sleep(0.2)
    assert sorted(rows) == sorted(accounts)
    for row in rows.values():
        assert 0 < row["minutes_down"] * 60 <= at_most_s + 5
        assert (row["outages"], 0 < row["time_to_repair_s"] <= at_most_s + 5) == (1, True)
        assert sum(row["reasons"].values()) == pytest.approx(row["minutes_down"], abs=0.02)
    headers = {"Authorization": f"Bearer {fleet.demo.population.token}", "Accept": "text/csv"}
    reply: Any = await fleet.wire.call(
        "GET", fleet.gateways[0], f"/api/v1/downtime?month={month}", headers=headers, timeout_s=10
    )
    table = list(csv.DictReader(io.StringIO(reply.body.decode())))
    by_account = {int(row["account_id"]): float(row["minutes_down"]) for row in table}
    assert {number: by_account[number] for number in accounts} == {
        number: rows[number]["minutes_down"] for number in accounts
    }


def _says_no_more_than_it_may(fleet: Fleet) -> None:
    """Every line that any process of it wrote."""
    secrets = fleet.demo.secrets
    population = fleet.demo.population
    logs = {path.name: path.read_text(errors="replace") for path in fleet.demo.folder.logs.iterdir()}
    assert sum(map(len, logs.values())) > 1_000, "there is something to look through"
    hidden = {"words": WORDS, "token": population.token, "instances' key": secrets.instance_api_key}
    hidden |= {"vault's key": secrets.vault_key.split(":")[-1], "signing": secrets.hmac_secret}
    hidden |= {f"phone {each.phone}": each.phone.lstrip("+") for each in (*population.residents, *population.contacts)}
    found = [(name, what) for name, text in logs.items() for what, word in hidden.items() if _has(text, word)]
    assert found == []


def _has(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None
