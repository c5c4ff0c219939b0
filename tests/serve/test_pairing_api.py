"""Pairing over the API, in front of gateways that only report their codes: looked at, not disturbed."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from homing.flows.hearing.pairing_reminders import PairingReminders
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import InstanceUrl, ListedSession, SessionId, SessionStatus
from homing.model.work import Tick
from homing.ports import PairingCode, SessionStart
from tests.flows.worlds import PLAIN, A, B
from tests.models.node_service import qr
from tests.serve.conftest import Api
from tests.serve.reporting import report, told


@dataclass(slots=True)
class Waiting:
    """One account on A, which says `qr_scanning` of it and counts what it is told."""

    api: Api
    account: dict[str, Any]
    renewed: int = 0
    next_code: str | None = None
    connected: bool = False
    reporting: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"/accounts/{self.account['id']}"

    def says(self, status: SessionStatus) -> None:
        self.api.world.hold(A, SessionId(self.account["session_id"]), status=status)
        self.connected = status is SessionStatus.CONNECTED

    async def reports(self, kind: str, *, url: InstanceUrl = A, **data: Any) -> None:
        answer = await report(self.api, told(kind, self.account["session_id"], **data), url=url)
        assert answer.status_code == 200, answer.text

    async def look(self, *_: object, **__: object) -> PairingCode:
        return PairingCode(None, None, 300, connected=self.connected)

    async def renew(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode:
        self.renewed += 1
        if self.next_code is not None:
            later = self.reports("qr_code_generated", qr_code=self.next_code, expires_in=60)
            self.reporting.append(asyncio.ensure_future(_after(0.2, later)))
        return PairingCode(None, None, 300)

    async def status(self) -> str:
        return str((await self.api.call("GET", self.path)).json()["status"])

    async def code(self, method: str = "GET") -> tuple[int, dict[str, Any]]:
        answer = await self.api.call(method, f"{self.path}/qr")
        return answer.status_code, answer.json()


async def _after(delay_s: float, report: Coroutine[Any, Any, None]) -> None:
    await asyncio.sleep(delay_s)
    await report


@pytest.fixture
async def waiting(api: Api, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    for instance in api.world.instances.values():
        instance.can = PLAIN
    made = Waiting(api, await api.account())
    assert made.account["instance_url"] == A
    monkeypatch.setattr(api.world, "pairing", made.look)
    monkeypatch.setattr(api.world, "renew_pairing", made.renew)
    # As if it had been told to start just now, and were not up yet.
    session = SessionId(made.account["session_id"])
    await api.gateway.stores.directory.note_start(session, A)
    await api.gateway.stores.directory.set_status(session, SessionStatus.STARTING)
    made.says(SessionStatus.PAIRING)
    return made


async def test_without_a_code_it_is_said_what_to_do(waiting: Waiting) -> None:
    status, said = await waiting.code()
    assert (status, said["code"]) == (409, "no_pairing_code")
    assert "--renew" in said["detail"]


async def test_a_page_that_looks_every_moment_renews_nothing_and_sees_the_newest_code(waiting: Waiting) -> None:
    with capture_logs() as lines:
        for number in range(3):
            await waiting.reports("qr_code_generated", qr_code=f"2@CODE-{number}", expires_in=60)
            for _ in range(5):
                status, said = await waiting.code()
                assert (status, said["qr"], said["picture"], said["expired"]) == (200, f"2@CODE-{number}", None, False)
                assert 50 <= said["expires_in"] <= 60
    assert waiting.renewed == 0
    assert "CODE-" not in str(lines)


async def test_a_picture_is_read_and_offered(waiting: Waiting) -> None:
    picture = qr.data_url("2@abc,def,ghi")
    await waiting.reports("qr_code_generated", qr_code=picture, expires_in=60)
    _, said = await waiting.code()
    assert (said["qr"], said["picture"]) == ("2@abc,def,ghi", picture)
    await waiting.reports("qr_code_generated", qr_code="data:image/png;base64,AAAA", expires_in=60)
    _, said = await waiting.code()
    assert (said["qr"], said["picture"]) == (None, "data:image/png;base64,AAAA")


async def test_an_expired_code_says_so(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    await waiting.reports("qr_code_generated", qr_code="2@abc", expires_in=0.01)
    status, said = await waiting.code()
    assert (status, said["expired"], said["expires_in"]) == (200, True, 0)
    assert waiting.renewed == 0


async def test_what_another_instance_reports_is_no_code_of_this_session(waiting: Waiting) -> None:
    await waiting.reports("qr_code_generated", url=B, qr_code="2@stray", expires_in=60)
    assert (await waiting.code())[0] == 409
    await waiting.reports("qr_code_generated", qr_code="2@own", expires_in=60)
    await waiting.reports("qr_code_generated", url=B, qr_code="2@stray2", expires_in=60)
    assert (await waiting.code())[1]["qr"] == "2@own"


async def test_a_linked_phone_has_nothing_to_pair(waiting: Waiting) -> None:
    await waiting.reports("qr_code_generated", qr_code="2@abc", expires_in=60)
    waiting.says(SessionStatus.CONNECTED)
    for method in ("GET", "POST"):
        status, said = await waiting.code(method)
        assert (status, said["code"]) == (409, "nothing_to_pair")
    assert waiting.renewed == 0


async def test_renewing_waits_for_the_new_code(waiting: Waiting) -> None:
    await waiting.reports("qr_code_generated", qr_code="2@old", expires_in=60)
    waiting.next_code = "2@new"
    status, said = await waiting.code("POST")
    assert (status, said["qr"], waiting.renewed) == (200, "2@new", 1)
    assert (await waiting.code())[1]["qr"] == "2@new"


async def test_a_code_is_renewed_once_in_a_while_whoever_asks(waiting: Waiting) -> None:
    waiting.next_code = "2@new"
    await waiting.code("POST")
    status, said = await waiting.code("POST")
    assert (status, said["qr"], waiting.renewed) == (200, "2@new", 1)
    await waiting.api.gateway.stores.directory.note_start(SessionId(waiting.account["session_id"]), A)
    answer = await waiting.api.call("POST", f"{waiting.path}/qr")
    assert (answer.status_code, answer.json()["code"]) == (429, "pairing_renewed_lately")
    assert 1 <= int(answer.headers["Retry-After"]) <= 20
    assert waiting.renewed == 1


async def test_a_session_that_restores_is_not_ready_and_nobody_is_told_to_scan(waiting: Waiting) -> None:
    """As every Node service says `qr_scanning` of it."""
    assert await waiting.status() == "starting"
    refused = await waiting.api.send(waiting.account)
    assert (refused.status_code, refused.json()["code"]) == (503, "session_not_ready")
    assert "Retry-After" in refused.headers


async def test_a_session_that_reported_a_code_waits_for_a_person(waiting: Waiting) -> None:
    await waiting.reports("qr_code_generated", qr_code="2@abc", expires_in=60)
    assert await waiting.status() == "pairing"
    refused = await waiting.api.send(waiting.account)
    assert (refused.status_code, refused.json()["code"]) == (409, "session_logged_out")


async def test_starting_what_is_open_already_makes_no_code_void(waiting: Waiting) -> None:
    await waiting.reports("qr_code_generated", qr_code="2@abc", expires_in=60)
    started = (await waiting.api.call("POST", f"{waiting.path}/start")).json()
    assert started["status"] == "pairing"
    assert (await waiting.code())[1]["qr"] == "2@abc"


async def test_a_phone_that_waits_for_too_long_is_told_with_what_waits_behind_it(api: Api) -> None:
    made = await api.account()
    session = SessionId(made["session_id"])
    await api.gateway.stores.directory.set_status(session, SessionStatus.PAIRING)
    stores, alerts = api.gateway.stores, api.gateway.alerts
    tick = Tick("pairing-reminders", api.gateway.clock.now(), 1, False, "due")
    patient = PairingReminders(stores.directory, stores.outbox, alerts, api.gateway.clock, after_s=3_600)
    await patient.tick(tick)
    assert not [each for each in alerts.standing() if each.kind is AlertKind.PAIRING_WAITS]
    reminders = PairingReminders(stores.directory, stores.outbox, alerts, api.gateway.clock, after_s=0.001)
    await reminders.tick(tick)
    [told] = [each for each in alerts.standing() if each.kind is AlertKind.PAIRING_WAITS]
    assert told.subject == Subject.session(session)
    assert f"account {made['id']}" in told.reason
    assert "no message waits for it" in told.reason
    await stores.directory.set_status(session, SessionStatus.CONNECTED)
    await reminders.tick(tick)
    assert not [each for each in alerts.standing() if each.kind is AlertKind.PAIRING_WAITS]


async def test_a_code_to_type_is_for_the_accounts_own_phone(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[SessionStart] = []

    async def typed(_: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode:
        asked.append(session)
        return PairingCode(None, "ABCD1234", 150)

    monkeypatch.setattr(waiting.api.world, "renew_pairing", typed)
    waiting.api.world.instances[A].can = replace(PLAIN, typed_codes=True)
    answer = await waiting.api.call("POST", f"{waiting.path}/qr", {"typed": True})
    assert (answer.status_code, answer.json()["code"], answer.json()["qr"]) == (200, "ABCD1234", None)
    assert [each.typed_for for each in asked] == ["62816108641"]


async def test_an_instance_that_makes_no_codes_to_type_is_not_asked_for_one(waiting: Waiting) -> None:
    answer = await waiting.api.call("POST", f"{waiting.path}/qr", {"typed": True})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_supported")
    assert waiting.renewed == 0
    assert (await waiting.api.call("POST", f"{waiting.path}/qr", {"typed": 7})).status_code == 422


async def test_why_no_phone_can_be_linked_is_told_with_the_account(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failed(_: InstanceUrl, session_id: SessionId, *, timeout_s: float) -> ListedSession:
        return ListedSession(session_id, SessionStatus.FAILED, error="passkey required: …")

    monkeypatch.setattr(waiting.api.world, "session", failed)
    shown = (await waiting.api.call("GET", waiting.path)).json()
    assert (shown["status"], shown["error"]) == ("failed", "passkey required: …")
    status, said = await waiting.code()
    assert (status, said["code"]) == (409, "no_pairing_code")
    assert f"{A} says: passkey required: …" in said["detail"]
