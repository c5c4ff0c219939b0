"""The page about downtime: the same months as `/downtime`, worst first, with the way to the table."""

import re
from datetime import timedelta

from homing.decide.knowledge.downtime import month_of
from homing.model.ids import SessionId, WorkspaceId
from homing.model.sessions.downtime import Outage
from tests.serve.conftest import Api
from tests.serve.test_pages import page, settled

MONTH = "2026-03"


async def test_a_month_is_told_worst_first_with_its_sums_and_its_table(api: Api) -> None:
    account = await api.account()
    begins = month_of(api.gateway.clock.now()).begins - timedelta(days=10)
    month = f"{begins:%Y-%m}"
    own = SessionId(account["session_id"])
    rows = [
        Outage(SessionId("gone-before"), 90, WorkspaceId(1), "moving", begins),
        Outage(own, account["id"], WorkspaceId(1), "failed", begins),
        Outage(SessionId("of-another"), 91, WorkspaceId(2), "logged out", begins),
    ]
    ledger = api.gateway.stores.downtime
    await ledger.note({}, rows, {own: 4}, at=begins)
    ends = {row.session_id: begins + timedelta(minutes=10 if row.session_id == own else 5) for row in rows}
    await ledger.note(ends, [], {}, at=begins)
    shown = (await settled(api, f"/downtime?month={month}", "816-108-641", "reader")).replace("\u00a0", " ")
    assert f'href="/api/v1/downtime.csv?month={month}"' in shown
    assert shown.index("816-108-641") < shown.index("gone-before")
    assert f'href="/sessions/{account["id"]}"' in shown
    assert "failed 10 min" in shown
    assert re.search(r'<tfoot><tr><td>2 sessions</td><td class="c1"></td><td class="num nowrap">15 min</td>', shown)
    assert "of-another" not in shown
    assert "of-another" in (await page(api, f"/downtime?month={month}", "stranger")).text


async def test_sessions_lead_to_it_and_a_month_without_downtime_says_so(api: Api) -> None:
    assert 'href="/downtime"' in (await page(api, "/sessions")).text
    shown = (await page(api, f"/downtime?month={MONTH}")).text
    assert f"No session was down in {MONTH}" in shown
    assert re.search(r'<a href="/sessions" aria-current="page">', shown)


async def test_a_session_says_what_this_month_came_to(api: Api) -> None:
    account = await api.account()
    own, now = SessionId(account["session_id"]), api.gateway.clock.now()
    begins = max(month_of(now).begins, now - timedelta(minutes=2))
    await api.gateway.stores.downtime.note(
        {}, [Outage(own, account["id"], WorkspaceId(1), "failed", begins)], {}, at=now
    )
    await api.gateway.stores.downtime.note({own: now}, [], {}, at=now)
    shown = await settled(api, f"/sessions/{account['id']}", "Down this month")
    assert "1 outage" in shown
