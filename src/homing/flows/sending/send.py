"""Sending one message: through the instance that holds the session, wherever that turns out to be.

The story is `Sending.send`: try, and while that fails, do what `decide.recovery` says next. All judgment is there;
here is only the doing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol, assert_never

import structlog
from msgspec import structs

from homing.decide.knowledge.doubt import speaks_of_session
from homing.decide.moves.next_step import Obstacle
from homing.decide.phones import spellings
from homing.decide.sending import abilities, failures, recovery
from homing.decide.sending.echo import without_echo
from homing.decide.sending.recovery import Finish, Look, SendPolicy, Try
from homing.flows.discovery.rediscover import Rediscovery
from homing.flows.discovery.wakeups import News, SessionWatch
from homing.flows.sending.number_checks import NumberChecks
from homing.flows.sending.own_messages import Said
from homing.flows.sending.signs import Signs
from homing.flows.sending.upload_turns import UploadTurns
from homing.model.fleet import Capabilities, InstanceMode, InstanceUrl, PlacementState, Route, SessionId, SessionStatus
from homing.model.sends import sending
from homing.model.sends.addresses import AddressKind
from homing.model.sends.calls import MediaSource
from homing.model.sends.content import KeptMedia, MediaContent, MessageType, TextContent
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import (
    Attempt,
    BeyondDriver,
    CannotRepeat,
    FailureCode,
    Finding,
    Found,
    Happening,
    Looked,
    NotLooked,
    NotSent,
    Nowhere,
    OnlyObserved,
    Outcome,
    Receipt,
    Sent,
    Text,
    Unknown,
    Unplaced,
)
from homing.ports import Clock, Driver, Fleet, OutgoingText, Routes, StoreUnavailable, WayThere
from homing.ports.sends.media import OutgoingFiles
from homing.ports.sends.numbers import CheckedNumbers

log = structlog.get_logger("homing")

_FOUND_NOWHERE = (FailureCode.SESSION_UNREACHABLE, FailureCode.SESSION_NOT_READY)
Saw = Callable[[InstanceUrl, Phase | None], None]
"""Hears what each call to an instance met; None if it was answered."""
Obstacles = Callable[[SessionId], Awaitable[Obstacle | None]]
"""What stands in the way of a session that is to be opened elsewhere, if anything is known."""


Ended = Callable[[SessionId, Outcome], None]
"""Hears how each send ended."""


class HearsSends(Protocol):
    """Hears how the sends of a session end."""

    def worked(self, session_id: SessionId) -> None: ...

    def failed(self, session_id: SessionId, url: InstanceUrl, fault: Fault) -> None: ...


class Sending:
    """Sends messages, and recovers what can be recovered within one deadline."""

    def __init__(
        self,
        routes: Routes,
        fleet: Fleet,
        rediscovery: Rediscovery,
        clock: Clock,
        policy: SendPolicy,
        said: Said,
        news: News,
        saw: Saw,
        obstacles: Obstacles,
        doubts: HearsSends,
        ended: Ended,
        files: OutgoingFiles | None,
        checked_numbers: CheckedNumbers | None,
    ) -> None:
        self._files, self._turns = files, UploadTurns(policy.uploads, patience_s=policy.deadline_s)
        self.numbers = NumberChecks(fleet, clock, checked_numbers)
        self.signs = Signs(fleet, clock)
        self._routes, self._fleet, self._rediscovery = routes, fleet, rediscovery
        self._clock, self._policy, self._said = clock, policy, said
        self._news, self._heard, self._obstacles = news, saw, obstacles
        self._doubts, self._ended = doubts, ended
        self._answered: set[InstanceUrl] = set()
        self._untold: list[tuple[Callable[..., object], tuple[object, ...]]] = []
        self._first_s = {
            chooses_id: recovery.attempt_timeout_s(
                now_s=0.0, deadline_s=policy.deadline_s, policy=policy, chooses_id=chooses_id
            )
            for chooses_id in (False, True)
        }
        """How long a first attempt may take, by whether the instance takes our message id."""

    async def send(self, text: Text, route: Route) -> Outcome:
        """The message's outcome. Beyond the deadline only an attempt that cannot be repeated is still awaited."""
        if text.recipient_phone.startswith(spellings.COUNTRIES) and spellings.has_two(text.recipient_phone):
            return await self._sent_as_known(text, route)
        return await self._delivered(text, route, self._clock.monotonic() + self._policy.deadline_s)

    async def _sent_as_known(self, text: Text, route: Route) -> Outcome:
        """To the address that the session's gateway knows the recipient under, if it can be asked."""
        deadline_s = self._clock.monotonic() + self._policy.deadline_s
        url = self._address(route)
        if url is None or _set_aside(route) is not None:
            return await self._delivered(text, route, deadline_s)
        to = await self.numbers.recipient(route.session_id, url, text.recipient_phone)
        if to == text.recipient_phone:
            return await self._delivered(text, route, deadline_s)
        outcome = await self._delivered(structs.replace(text, recipient_phone=to), route, deadline_s)
        return structs.replace(outcome, sent_to=to, reason=f"{outcome.reason}; to {to}, by its gateway's number check")

    async def _delivered(self, text: Text, route: Route, deadline_s: float) -> Outcome:
        outcome: Outcome | None = None
        session = route.placement.session_id
        self._soon(self._said.begin, session, text)
        try:
            outcome = await self._driven(text, route, deadline_s)
            if type(outcome) is Sent:
                self._soon(self._doubts.worked, session)
            self._soon(self._ended, session, outcome)
            return outcome
        finally:
            self._soon(self._said.end, session, text, outcome)

    def _soon(self, tell: Callable[..., object], *what: object) -> None:
        """Tell it with the loop's next turn, in the order of what was told: before anything that follows from it comes
        in, and behind the answer. Under load one turn tells of many sends."""
        self._untold.append((tell, what))
        if len(self._untold) == 1:
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        untold, self._untold = self._untold, []
        answered, self._answered = self._answered, set()
        for url in answered:
            self._heard(url, None)
        for tell, what in untold:
            try:
                tell(*what)
            except Exception:
                log.exception("Somebody who hears of sends failed")

    async def _driven(self, text: Text, route: Route, deadline_s: float) -> Outcome:
        if (aside := _set_aside(route)) is not None:
            return aside
        happened: list[Happening] = []
        tried = await self._try(text, route, happened, deadline_s)
        if isinstance(tried, Receipt):
            return _taken(tried, self._address(route), route, happened)
        happened.append(tried)
        with self._news.watch(route.session_id) as watch:
            return await self._recovered(text, route, happened, deadline_s, watch)

    async def _recovered(
        self, text: Text, route: Route, happened: list[Happening], deadline_s: float, watch: SessionWatch
    ) -> Outcome:
        """After the first attempt failed: whatever recovery says comes next, until it says that it is over."""
        while True:
            step = recovery.next_step(
                happened,
                now_s=self._clock.monotonic(),
                deadline_s=deadline_s,
                policy=self._policy,
                repeated=text.repeated,
            )
            match step:
                case Try(after_s=after_s):
                    route = await self._later(route, after_s)
                    tried = await self._try(text, route, happened, deadline_s)
                    if isinstance(tried, Receipt):
                        return _taken(tried, self._address(route), route, happened)
                    happened.append(tried)
                case Look(after_s=after_s):
                    await watch.pause(after_s)
                    looked, route = await self._look(route)
                    happened.append(looked)
                case Finish(outcome=outcome):
                    self._note_failed(text, route, happened)
                    return await self._explained(outcome, route)
                case _:
                    assert_never(step)

    def _note_failed(self, text: Text, route: Route, happened: list[Happening]) -> None:
        self._tell()  # what was well before it
        last = next((item for item in reversed(happened) if isinstance(item, Attempt)), None)
        with_file = isinstance(text.content, MediaContent)
        if last is not None and speaks_of_session(last.fault.phase, with_file=with_file):
            self._doubts.failed(route.session_id, last.instance_url, last.fault)

    async def _explained(self, outcome: NotSent | Unknown, route: Route) -> Outcome:
        """A session that could be found nowhere may be on its way to be opened again; then it is said what is in it."""
        if not isinstance(outcome, NotSent) or outcome.code not in _FOUND_NOWHERE:
            return outcome
        try:
            obstacle = await self._obstacles(route.session_id)
        except StoreUnavailable:
            return outcome
        if obstacle is None:
            return outcome
        code = FailureCode.NO_CAPACITY if obstacle.no_room else outcome.code
        return structs.replace(outcome, code=code, reason=f"{outcome.reason}; {obstacle.reason}")

    async def _later(self, route: Route, after_s: float) -> Route:
        """After a pause: the route, which may have been corrected meanwhile."""
        if after_s <= 0:
            return route
        await self._clock.sleep(after_s)
        return self._routes.by_session(route.session_id) or route

    async def _try(self, text: Text, route: Route, happened: list[Happening], deadline_s: float) -> Receipt | Happening:
        url = route.placement.instance_url or self._fleet.default_url
        if url is None:
            return Unplaced(_never_placed(route), self._clock.monotonic())
        if not happened and not text.repeated and (way := self._plain_way(text, route, url)) is not None:
            return await self._hand_over(
                text, route, url, way.driver, way.can, self._first_s[way.can.choose_message_id]
            )
        known = self._fleet.roster.instances.get(url)
        if known is not None and known.mode is InstanceMode.OBSERVE:
            return OnlyObserved(url, self._clock.monotonic())
        if route.placement.state is PlacementState.MOVING:
            return self._on_its_way(route)
        # What is repeated is so by what the instance can now, and not by what it could.
        again = bool(happened or text.repeated) and recovery.may_have_left(happened, text.repeated)
        can = await self._fleet.capabilities(url, timeout_s=self._policy.health_timeout_s, fresh=again)
        if isinstance(can, Fault):
            self._saw(url, can)
            return self._attempt(url, route, can, asked_first=True)
        if recovery.must_not_repeat(happened, text.repeated, chooses_id=can.choose_message_id):
            return CannotRepeat(url, self._clock.monotonic())
        if (beyond := abilities.beyond(text.said, text.recipient, can, self._fleet.driver(url).family)) is not None:
            return BeyondDriver(url, *beyond, self._clock.monotonic())
        driver, kept = self._fleet.driver(url), self._kept_in(text)
        timeout_s = recovery.attempt_timeout_s(
            now_s=self._clock.monotonic(),
            deadline_s=deadline_s,
            policy=self._policy,
            chooses_id=can.choose_message_id,
            file_bytes=kept.size if kept is not None else None,
        )
        async with self._turns.taken(url, text.workspace_id, kept.size if kept is not None else 0) as none_came:
            if none_came is not None:
                return self._attempt(url, route, none_came)
            return await self._hand_over(text, route, url, driver, can, timeout_s)

    def _plain_way(self, text: Text, route: Route, url: InstanceUrl) -> WayThere | None:
        """The way of a plain text to a phone, where all that is to be judged before a first attempt is known already.

        None for anything else: it is judged, and asked about, step by step.
        """
        content = text.content
        if type(content) is not TextContent or content.reply_to is not None or content.mentions:
            return None
        if "@" in text.recipient_phone or route.placement.state is PlacementState.MOVING:
            return None
        way = self._fleet.way(url)
        sends = way is not None and MessageType.TEXT in way.can.sends and AddressKind.PHONE in way.can.reaches
        return way if sends else None

    async def _hand_over(
        self, text: Text, route: Route, url: InstanceUrl, driver: Driver, can: Capabilities, timeout_s: float
    ) -> Receipt | Attempt:
        chooses_id = can.choose_message_id
        file = None if type(text.content) is TextContent else self._file_of(text)
        answer = await driver.send(url, _outgoing(text, route, file), timeout_s=timeout_s)
        if type(answer) is Receipt:
            self._answered.add(url)  # `_delivered` tells of it, once for all that were answered meanwhile
        else:
            self._saw(url, answer if isinstance(answer, Fault) else None)
        if isinstance(answer, Fault):
            if failures.may_be_another_boot(answer.phase):
                self._fleet.doubt(url)
            told = replace(answer, detail=without_echo(answer.detail, text.text, text.recipient_phone))
            return self._attempt(url, route, told, chose_id=chooses_id)
        if chooses_id and not _same_id(answer.message_id, text.message_id):
            its = answer.message_id.rpartition("_")[2]  # before it some wrap the recipient
            log.warning("Instance ignored our message id", url=url, ours=text.message_id, its=its)
            self._fleet.withdraw_message_id(url)
        return answer

    def _kept_in(self, text: Text) -> KeptMedia | None:
        content = text.content
        if self._files is None or not isinstance(content, MediaContent) or not isinstance(content.media, KeptMedia):
            return None
        return content.media

    def _file_of(self, text: Text) -> MediaSource | None:
        kept = self._kept_in(text)
        if kept is None or self._files is None or not isinstance(text.content, MediaContent):
            return None
        return self._files.source(kept, text.content.file_name)

    def _attempt(
        self, url: InstanceUrl, route: Route, fault: Fault, *, chose_id: bool = False, asked_first: bool = False
    ) -> Attempt:
        verdict = failures.before_sending(fault) if asked_first else failures.classify(fault)
        log.info(
            "Send attempt failed",
            url=url,
            session_id=route.session_id,
            verdict=verdict.kind.value,
            may_have_left=verdict.may_have_left,
            reason=verdict.reason,
        )
        return Attempt(url, route.placement.epoch, fault, verdict, chose_id, self._clock.monotonic())

    async def _look(self, route: Route) -> tuple[Looked | Unplaced, Route]:
        """Read the directory again; if it still says what failed, ask the instances."""
        try:
            fresh = await self._routes.reread_unless_moved(route.account_uuid, route.placement)
            if fresh is None:
                return self._not_looked("the account does not exist any more"), route
            if fresh.placement.state is PlacementState.MOVING:
                return self._on_its_way(fresh), fresh
            if fresh.placement != route.placement and fresh.placement.instance_url is not None:
                return self._already_corrected(fresh), fresh
            looked = await self._rediscovery.look(fresh)
            if fresh.placement.instance_url is None and _certainly_nowhere(looked.finding):
                return Unplaced(_never_placed(fresh), self._clock.monotonic()), fresh
            return looked, await self._followed(looked, fresh)
        except StoreUnavailable as error:
            return self._not_looked(f"the directory is unavailable: {error}"), route

    async def _followed(self, looked: Looked, route: Route) -> Route:
        if isinstance(looked.finding, Found) and looked.finding.moved:
            return await self._routes.reread_unless_moved(route.account_uuid, route.placement) or route
        return route

    def _already_corrected(self, fresh: Route) -> Looked:
        placement = fresh.placement
        assert placement.instance_url is not None
        reason = f"the directory had been corrected already: {placement.instance_url}, epoch {placement.epoch}"
        found = Found(placement.instance_url, placement.epoch, moved=True, reason=reason)
        return Looked(found, self._clock.monotonic())

    def _saw(self, url: InstanceUrl, fault: Fault | None) -> None:
        self._tell()  # what was well before it
        self._heard(url, fault.phase if fault is not None else None)

    def _on_its_way(self, route: Route) -> Looked:
        placement = route.placement
        reason = f"the session is on its way to {placement.instance_url}, under epoch {placement.epoch}"
        return Looked(sending.Waiting(reason), self._clock.monotonic())

    def _not_looked(self, reason: str) -> Looked:
        return Looked(NotLooked(reason), self._clock.monotonic())

    def _address(self, route: Route) -> InstanceUrl | None:
        return route.placement.instance_url or self._fleet.default_url


def _certainly_nowhere(finding: Finding) -> bool:
    """Every instance answered, and none has it: for a session that was never placed, waiting brings none."""
    return isinstance(finding, Nowhere) and not finding.silent


def _never_placed(route: Route) -> str:
    return (
        f"account {route.account_uuid} was never placed on an instance;"
        f" start it with `homing accounts start {route.account_id}`, and pair it"
    )


def _outgoing(text: Text, route: Route, file: MediaSource | None) -> OutgoingText:
    return OutgoingText(
        session_id=route.placement.session_id,
        workspace_id=text.workspace_id,
        recipient_phone=text.recipient_phone,
        text=text.text,
        message_id=text.message_id,
        epoch=route.placement.epoch,
        content=text.content,
        file=file,
    )


def _same_id(its: str, ours: str) -> bool:
    """Some gateways wrap the id: whatsapp-web.js says `true_<chat>_<id>`."""
    return its == ours or its.endswith(f"_{ours}")


def _set_aside(route: Route) -> NotSent | None:
    """Why no attempt could succeed until somebody has seen to the account."""
    if route.mismatched_phone is not None:
        reason = (
            f"the session of account {route.account_uuid} is linked with the phone {route.mismatched_phone}, which is"
            f" not the account's; if that is right, `homing accounts accept-phone {route.account_id}`"
        )
        return NotSent(FailureCode.PHONE_MISMATCH, reason, attempts=0, final=True)
    match route.status:
        case SessionStatus.QUARANTINED:
            reason = (
                f"account {route.account_uuid} is in quarantine: a stranger uses its login;"
                " end that, and start it again"
            )
            return NotSent(FailureCode.SESSION_QUARANTINED, reason, attempts=0, final=True)
        case SessionStatus.LOGGED_OUT:
            reason = f"account {route.account_uuid} is logged out; start it and pair it again"
            return NotSent(FailureCode.SESSION_LOGGED_OUT, reason, attempts=0, final=True)
        case SessionStatus.STOPPED if route.placement.state is PlacementState.HELD:
            reason = f"account {route.account_uuid} was stopped by request; start it first"
            return NotSent(FailureCode.SESSION_STOPPED, reason, attempts=0, final=True)
        case _:
            return None


def _taken(receipt: Receipt, url: InstanceUrl | None, route: Route, happened: list[Happening]) -> Sent:
    if not happened:
        return Sent(receipt, url, route.placement.session_id, 1, failover=False)
    attempts = [item for item in happened if isinstance(item, Attempt) and item.was_made]
    failover = any(attempt.instance_url != url for attempt in attempts)
    reason = f"sent after: {attempts[-1].verdict.reason}" if attempts else "sent at the first attempt"
    return Sent(receipt, url, route.session_id, len(attempts) + 1, failover, reason)
