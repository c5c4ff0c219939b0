"""The facets of the sessions page: what is told of a session besides how it stands, counted, and found by it."""

from typing import Any

import pytest

from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import SessionId
from tests.serve.conftest import Api
from tests.serve.test_now_api import read
from tests.serve.test_pages import page, settled
from tests.serve.test_tables import read as rows_of

SIGNS = [
    (AlertKind.DEAF, "deaf", "connected but deaf"),
    (AlertKind.DOUBTFUL, "deaf", "connected but deaf"),
    (AlertKind.DUPLICATE_HOLDER, "duplicate", "held twice"),
]


async def three(api: Api) -> list[dict[str, Any]]:
    """Two accounts of one workspace, and one of another."""
    made = [await api.account(phone=f"081610864{number}") for number in range(2)]
    made.append(await api.account(workspace=2, phone="0816108699"))
    await settled(api, "/sessions", "816-108-699")
    return made


def raised(api: Api, kind: AlertKind, account: dict[str, Any]) -> Subject:
    subject = Subject.session(SessionId(account["session_id"]))
    api.gateway.alerts.raised(kind, subject, "by what was seen of it")
    return subject


@pytest.mark.parametrize(("kind", "sign", "words"), SIGNS)
async def test_a_facet_counts_the_sessions_of_its_sign_and_leads_to_them(
    api: Api, kind: AlertKind, sign: str, words: str
) -> None:
    signed, other, _ = await three(api)
    assert f"{words} 0" in read((await page(api, "/sessions")).text)
    subject = raised(api, kind, signed)
    shown = await settled(api, f"/sessions?sign={sign}", f"<span>{words}</span><small>1</small>")
    assert f'/sessions/{signed["id"]}"' in shown
    assert f"/sessions/{other['id']}" not in shown
    assert 'href="/sessions"' in shown, "asked for once more, it excludes nothing"
    told = (await api.call("GET", f"/sessions?sign={sign}")).json()
    assert (told["total"], [row["account_id"] for row in told["data"]]) == (1, [signed["id"]])
    [row] = rows_of(await page(api, f"/sessions.csv?sign={sign}"))
    assert row["account_id"] == str(signed["id"])
    api.gateway.alerts.resolved(kind, subject)
    await settled(api, "/sessions", f"<span>{words}</span><small>0</small>")
    assert (await api.call("GET", f"/sessions?sign={sign}")).json()["total"] == 0


async def test_a_session_that_is_deaf_and_doubtful_counts_once(api: Api) -> None:
    signed, *_ = await three(api)
    raised(api, AlertKind.DEAF, signed)
    raised(api, AlertKind.DOUBTFUL, signed)
    await settled(api, "/sessions", "<span>connected but deaf</span><small>1</small>")


async def test_a_workspace_counts_its_own_signs_alone(api: Api) -> None:
    *_, theirs = await three(api)
    raised(api, AlertKind.DEAF, theirs)
    raised(api, AlertKind.DUPLICATE_HOLDER, theirs)
    await settled(api, "/sessions", "<span>held twice</span><small>1</small>", "stranger")
    shown = (await page(api, "/sessions?sign=deaf", "reader")).text
    assert "<span>connected but deaf</span><small>0</small>" in shown
    assert "<span>held twice</span><small>0</small>" in shown
    assert f"/sessions/{theirs['id']}" not in shown
    assert (await api.call("GET", "/sessions?sign=duplicate", key="reader")).json()["total"] == 0
