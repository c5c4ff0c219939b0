"""Every listing and every page has a table with the same rows, for the same callers, by the same filters."""

import csv
import io
from typing import Any

import httpx
import pytest

from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import InstanceUrl, SessionId
from homing.serve.http import tables
from tests.flows.worlds import A
from tests.serve.conftest import Api
from tests.serve.test_outbox_api import accept
from tests.serve.test_pages import page, settled

LISTINGS = sorted(tables._COLUMNS)


def read(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


async def fleet(api: Api) -> list[dict[str, Any]]:
    """Some of everything."""
    made = [await api.account(phone=f"081610864{number}") for number in range(3)]
    await api.account(workspace=2, phone="0816108699")
    made_one = await api.call("POST", "/endpoints", {"workspace_id": 1, "url": "http://127.0.0.1:40001/hook"})
    assert made_one.status_code == 201, made_one.text
    api.gateway.alerts.raised(AlertKind.QUARANTINED, Subject.session(SessionId(made[0]["session_id"])), "=1+1")
    api.gateway.alerts.raised(AlertKind.INSTANCE_GONE, Subject.instance(InstanceUrl(A)), "gone")
    await settled(api, "/sessions", "816-108-699")
    return made


@pytest.mark.parametrize("listing", LISTINGS)
async def test_a_table_has_the_rows_of_its_listing(api: Api, listing: str) -> None:
    await fleet(api)
    for key in ("operator", "reader", "stranger"):
        told = await api.call("GET", f"/{listing}", key=key)
        answer = await api.call("GET", f"/{listing}.csv", key=key)
        assert answer.status_code == told.status_code, key
        if told.status_code != 200:
            assert answer.json()["code"] == told.json()["code"]
            continue
        rows, data = read(answer), told.json()["data"]
        assert len(rows) == len(data)
        named = {key for row in data for key in row}
        assert not data or named == set(rows[0])
        assert answer.text.splitlines()[0].split(",")[: len(tables._COLUMNS[listing])] == [*tables._COLUMNS[listing]]
        wanted = [[tables._cell("" if row.get(name) is None else row[name]) for name in ("id", "uuid")] for row in data]
        assert [[row.get(name, "") for name in ("id", "uuid")] for row in rows] == [
            [str(value) for value in each] for each in wanted
        ]


async def test_a_table_goes_on_over_all_pages_and_keeps_its_filters(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 2)
    account, *_ = await fleet(api)
    later = "2027-01-01T00:00:00Z"
    for number in range(5):
        assert (await accept(api, account, f"{number}", send_at=later)).status_code == 202
    assert len(read(await api.call("GET", "/messages.csv?state=accepted"))) == 5
    assert read(await api.call("GET", "/messages.csv?state=sent")) == []
    assert len(read(await api.call("GET", "/sessions.csv"))) == 4
    assert len(read(await api.call("GET", "/moves.csv", key="reader"))) == 3
    refused = await api.call("GET", "/moves.csv?nonsense=1")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


async def test_what_a_spreadsheet_would_compute_is_text(api: Api) -> None:
    await fleet(api)
    [row] = read(await api.call("GET", f"/alerts.csv?kind={AlertKind.QUARANTINED.value}"))
    assert row["reason"] == "'=1+1"


async def test_a_page_answers_with_its_table_or_as_json_where_that_is_accepted(api: Api) -> None:
    await fleet(api)
    headers = {"Authorization": f"Bearer {api.keys['reader']}"}
    for path, count in (
        ("/sessions", 3),
        ("/sessions?standing=connected", 3),
        ("/moves?kind=rehome", 0),
        ("/alerts", 1),
    ):
        whole, _, query = path.partition("?")
        table = read(await api.client.get(f"{whole}.csv?{query}", headers=headers))
        assert len(table) == count, path
        accepted = await api.client.get(path, headers={**headers, "Accept": "text/csv"})
        assert read(accepted) == table
        told = await api.client.get(path, headers={**headers, "Accept": "application/json"})
        assert len(told.json()["data"]) == count
    assert (await page(api, "/sessions")).headers["content-type"].startswith("text/html")
    assert (await api.client.get("/sessions.csv")).status_code == 401
