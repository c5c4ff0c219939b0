"""What is remembered of a session's link with its phone, on every store."""

from itertools import count

import pytest
from fleets import A, B, change, placed_account

from clocks import PassTime, SteppedClock
from homing.decide.reports import meanings
from homing.decide.starting import linking
from homing.model.fleet import Account, Epoch, InstanceUrl, MoveKind, SessionStatus
from homing.model.instances.events import Report
from homing.store.db.database import Database
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.notices import LocalNotices
from homing.store.records.reports import SqlEvents

C = InstanceUrl("http://localhost:3003")


class Linked:
    """One account held on A, and what instances report of it."""

    def __init__(self, directory: SqlDirectory, events: SqlEvents, clock: SteppedClock, pass_time: PassTime) -> None:
        self.directory, self._events, self._clock, self._pass = directory, events, clock, pass_time
        self._numbers = count(1)

    async def begin(self) -> None:
        self.account = await placed_account(self.directory, 1)

    async def reports(self, kind: str, url: InstanceUrl | None, **data: str) -> None:
        number = next(self._numbers)
        report = Report(kind, {**data, "n": number}, self.account.session_id, url)
        await self._events.store(
            report,
            event_id=f"event-{number}",
            at=self._clock.now(),
            meaning=meanings.meaning(report),
            signed=None,
            sign=None,
        )
        await self._pass(1.0)

    async def starts(self, url: InstanceUrl) -> None:
        await self.directory.note_start(self.account.session_id, url)
        await self._pass(1.0)

    async def known(self) -> Account:
        found = await self.directory.account(None, id=self.account.id)
        assert found is not None
        return found

    async def says(self) -> tuple[bool, bool]:
        """Whether somebody has to scan a code, and whether the link has ended; the same by account and by route."""
        account = await self.known()
        [route] = await self.directory.routes(sessions=[account.session_id])
        assert route.linking == account.linking
        assert await self.directory.route_of_session(account.session_id) == route
        return linking.waits_for_a_scan(account.linking), linking.has_ended(account.linking)


@pytest.fixture
async def linked(
    directory: SqlDirectory, database: Database, local_notices: LocalNotices, clock: SteppedClock, pass_time: PassTime
) -> Linked:
    made = Linked(directory, SqlEvents(database, local_notices), clock, pass_time)
    await made.begin()
    return made


async def test_a_code_of_the_holder_counts_until_it_is_ready(linked: Linked) -> None:
    assert await linked.says() == (False, False)
    await linked.reports("qr_code_generated", A, qr_code="2@abc")
    assert await linked.says() == (True, False)
    await linked.reports("session_ready", A)
    assert await linked.says() == (False, False)


async def test_a_reported_logout_counts_until_it_is_ready_again(linked: Linked) -> None:
    await linked.reports("session_disconnected", A, reason="NAVIGATION")
    assert await linked.says() == (False, False)
    await linked.reports("session_disconnected", A, reason="LOGOUT")
    assert await linked.says() == (False, True)
    await linked.reports("session_ready", A)
    assert await linked.says() == (False, False)


@pytest.mark.parametrize("url", [B, None])
async def test_what_others_report_of_a_session_does_not_count(linked: Linked, url: InstanceUrl | None) -> None:
    await linked.reports("qr_code_generated", url, qr_code="2@abc")
    await linked.reports("session_disconnected", url, reason="LOGOUT")
    assert await linked.says() == (False, False)


async def test_a_start_makes_earlier_codes_void_and_is_heard_at_once(linked: Linked) -> None:
    await linked.reports("qr_code_generated", A, qr_code="2@abc")
    await linked.starts(B)
    assert await linked.says() == (False, False)
    await linked.reports("qr_code_generated", B, qr_code="2@def")
    assert await linked.says() == (True, False)


async def test_once_placed_only_its_place_is_heard(linked: Linked) -> None:
    await linked.starts(B)
    account = await linked.known()
    assert await linked.directory.rebind([change(account.placement, C, 2)])
    await linked.reports("qr_code_generated", B, qr_code="2@abc")
    assert await linked.says() == (False, False)
    await linked.reports("qr_code_generated", C, qr_code="2@abc")
    assert await linked.says() == (True, False)


async def test_to_be_seen_connected_is_to_be_ready(linked: Linked, clock: SteppedClock) -> None:
    await linked.reports("qr_code_generated", A, qr_code="2@abc")
    await linked.directory.mark_verified([linked.account.session_id], clock.now())
    assert await linked.says() == (True, False)
    clock.advance(0.001)
    await linked.directory.mark_verified([linked.account.session_id], clock.now(), ready_ago_s=0.2)
    assert await linked.says() == (False, False)


async def test_a_list_that_was_read_before_the_logout_does_not_undo_it(linked: Linked, clock: SteppedClock) -> None:
    await linked.reports("session_disconnected", A, reason="LOGOUT")
    await linked.directory.mark_verified([linked.account.session_id], clock.now(), ready_ago_s=5.0)
    assert await linked.says() == (False, True)


async def test_a_status_of_being_connected_counts_only_where_it_was_seen(linked: Linked) -> None:
    session = linked.account.session_id
    await linked.reports("session_disconnected", A, reason="LOGOUT")
    await linked.directory.set_status(session, SessionStatus.STARTING)
    await linked.directory.set_status(session, SessionStatus.CONNECTED)
    assert await linked.says() == (False, True)
    await linked.directory.set_status(session, SessionStatus.STARTING)
    await linked.directory.set_status(session, SessionStatus.CONNECTED, ready=True)
    assert await linked.says() == (False, False)


async def test_to_be_found_elsewhere_is_to_be_ready(linked: Linked) -> None:
    await linked.reports("session_disconnected", A, reason="LOGOUT")
    account = await linked.known()
    found = change(account.placement, B, 2, kind=MoveKind.REDISCOVERY)
    assert await linked.directory.rebind([found])
    assert (await linked.known()).placement.epoch == Epoch(2)
    assert (await linked.known()).linking.ready_at is not None


async def test_a_new_code_is_asked_for_once_in_a_while_whoever_asks(linked: Linked, pass_time: PassTime) -> None:
    session = linked.account.session_id
    assert await linked.directory.claim_renewal(session, every_s=20) == 0.0
    await pass_time(5.0)
    assert 10 < await linked.directory.claim_renewal(session, every_s=20) <= 15
    await pass_time(15.5)
    assert await linked.directory.claim_renewal(session, every_s=20) == 0.0
