"""`/downtime`, as clients see it."""

import csv
import io
from datetime import timedelta

import pytest

from homing.decide.knowledge.downtime import month_of
from homing.model.ids import SessionId, WorkspaceId
from homing.model.sessions.downtime import Outage
from tests.serve.conftest import Api

HOSTILE = SessionId("=HYPERLINK(1)")


@pytest.fixture
async def month(api: Api) -> str:
    """Sessions 1 and 2 of workspace 1 were down for ten minutes each, that of account 3 is of workspace 2."""
    now = api.gateway.clock.now()
    begins = max(month_of(now).begins, now - timedelta(minutes=30))
    ledger = api.gateway.stores.downtime
    rows = [
        Outage(HOSTILE, 1, WorkspaceId(1), "failed", begins),
        Outage(SessionId("s2"), 2, WorkspaceId(1), "moving", begins),
    ]
    rows.append(Outage(SessionId("s3"), 3, WorkspaceId(2), "logged out", begins))
    await ledger.note({}, rows, {}, at=now)
    ends = begins + timedelta(minutes=10)
    await ledger.note({HOSTILE: ends, SessionId("s2"): ends}, [], {HOSTILE: 4}, at=now)
    return f"{begins:%Y-%m}"


async def test_a_month_says_minutes_outages_repairs_and_failed_sends(api: Api, month: str) -> None:
    page = (await api.call("GET", f"/downtime?month={month}", key="reader")).json()
    assert [row["account_id"] for row in page["data"]] == [1, 2]
    assert (page["month"], page["minutes_down"], page["failed_sends"], page["next"]) == (month, 20.0, 4, None)
    first = page["data"][0]
    assert (first["minutes_down"], first["outages"], first["time_to_repair_s"]) == (10.0, 1, 600.0)
    assert (first["reasons"], first["failed_sends"], first["down_now"]) == ({"failed": 10.0}, 4, False)


async def test_pages_go_on_behind_an_account_and_a_stranger_sees_its_own(api: Api, month: str) -> None:
    first = (await api.call("GET", f"/downtime?month={month}&limit=1", key="operator")).json()
    assert ([row["account_id"] for row in first["data"]], first["next"]) == ([1], 1)
    rest = (await api.call("GET", f"/downtime?month={month}&after=1", key="operator")).json()
    assert [(row["account_id"], row["down_now"]) for row in rest["data"]] == [(2, False), (3, True)]
    strangers = (await api.call("GET", f"/downtime?month={month}", key="stranger")).json()
    assert [row["account_id"] for row in strangers["data"]] == [3]
    one = (await api.call("GET", f"/downtime?month={month}&session_id=s2", key="stranger")).json()
    assert one["data"] == []


async def test_the_table_has_every_session_and_no_formula(api: Api, month: str) -> None:
    answer = await api.call("GET", f"/downtime.csv?month={month}", key="operator")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["account_id"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["session_id"] == "'=HYPERLINK(1)"
    assert rows[0]["reasons"] == "failed: 10.0 min"


@pytest.mark.parametrize("month", ["2026-13", "x", "2026-01-01"])
async def test_what_is_no_month_is_refused(api: Api, month: str) -> None:
    answer = await api.call("GET", f"/downtime?month={month}", key="reader")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_request", "month")
