"""The pages about phones to link and deaf sessions: who, since when, by what evidence, and what is done about it."""

from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from homing.flows.hearing.judging import JudgedHearing
from homing.model.fleet import SessionId, SessionStatus, Takeover
from homing.model.sessions.hearing import HeardOf, Hearing, HearingCase, HearingRecord, HearingVerdict, Rung, TriedRung
from tests.serve.conftest import Api
from tests.serve.test_outbox_api import accept
from tests.serve.test_outbox_pages import act, actions_on
from tests.serve.test_pages import page, settled

PHONE = "816-108-641"


async def logged_out(api: Api) -> dict[str, Any]:
    account = await api.account()
    await api.gateway.stores.directory.set_status(SessionId(account["session_id"]), SessionStatus.LOGGED_OUT)
    await settled(api, "/sessions?standing=logged+out", PHONE)
    return account


async def test_who_needs_a_code_stands_with_what_waits_and_gets_a_link(api: Api) -> None:
    account = await api.account()
    later = (api.gateway.clock.now() + timedelta(days=1)).isoformat()
    assert (await accept(api, account, "later", send_at=later)).status_code == 202
    await api.gateway.stores.directory.set_status(SessionId(account["session_id"]), SessionStatus.LOGGED_OUT)
    shown = await settled(api, "/pairing", PHONE)
    assert '<td class="num">1</td>' in shown
    assert actions_on(shown) == {"link"}
    assert actions_on((await page(api, "/pairing", "reader")).text) == set()
    assert PHONE not in unescape((await page(api, "/pairing", "stranger")).text)
    answer = await act(api, f"/sessions/{account['id']}/link")
    assert answer.status_code == 201, answer.text
    opened = await api.client.get("/pair/" + answer.json()["url"].rsplit("/", 1)[1])
    assert "Show the code" in opened.text


async def test_the_number_of_phones_to_link_stands_on_every_page(api: Api) -> None:
    await logged_out(api)
    assert "1 to link" in await settled(api, "/now", "1 to link")
    assert "to link" not in (await page(api, "/now", "stranger")).text


async def test_a_connected_session_is_given_no_link(api: Api) -> None:
    account = await api.account()
    await settled(api, "/sessions", PHONE)
    shown = unescape((await page(api, f"/sessions/{account['id']}/link")).text)
    assert "It is connected; there is nothing to pair." in shown
    assert 'type="submit"' not in shown


async def test_with_all_phones_linked_and_all_sessions_heard_both_pages_say_so(api: Api) -> None:
    assert "Every phone is linked." in (await page(api, "/pairing")).text
    assert "Every connected session is heard of as usual." in (await page(api, "/deaf")).text


async def test_a_deaf_session_stands_with_its_evidence_what_was_tried_and_what_is_next(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await api.account()
    await settled(api, "/sessions", PHONE)
    known = api.gateway.stores.directory
    [kept] = await known.accounts_of([SessionId(account["session_id"])])
    since = api.gateway.clock.now() - timedelta(hours=3)
    tried = TriedRung(Rung.CHECK, since, since + timedelta(seconds=2), "it says that it works")
    record = HearingRecord(
        kept.session_id, Hearing.DEAF, "nothing came for 4 h <b>where</b> 12 messages usually come", since,
        tried=(tried,), instance_url=kept.placement.instance_url,
    )  # fmt: skip
    case = HearingCase(
        kept.id, kept.uuid, kept.workspace_id, kept.phone, kept.placement, SessionStatus.CONNECTED, Takeover.AUTO,
        since, None, record,
    )  # fmt: skip

    async def judged() -> list[JudgedHearing]:
        return [
            JudgedHearing(case, HeardOf(kept.session_id, since), HearingVerdict(Hearing.DEAF, record.reason), record)
        ]

    async def planned(*_: object) -> list[Any]:
        return []

    monkeypatch.setattr(api.gateway.care.judging, "judged", judged)
    monkeypatch.setattr(api.gateway.care.judging, "planned", planned)
    raw = (await page(api, "/deaf", "reader")).text
    assert "<b>where</b>" not in raw
    shown = unescape(raw).replace("\u00a0", " ")
    assert "1 deaf, 0 doubtful" in shown
    assert "Nothing came for 4 h <b>where</b> 12 messages usually come." in shown
    assert "check: It says that it works." in shown
    assert PHONE not in unescape((await page(api, "/deaf", "stranger")).text)
