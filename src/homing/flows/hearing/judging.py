"""Judging every minute which connected sessions hear, saying so, and asking for what may help those that do not.

One gateway judges at a time: the round is a schedule's. What it decides is kept with the record's version, so that one
who judged by an older record changes nothing. What is tried is a job for each session (`climbing`).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median

import structlog

from homing.decide.hearing import baseline, judgment, ladder, mass, outgoing, silence, standing
from homing.decide.hearing.ladder import Climb, DeafBudget, NextRung
from homing.decide.hearing.mass import Shared
from homing.flows.background.alerts import AlertBook
from homing.flows.hearing.abilities import HearingAbilities
from homing.flows.hearing.learning import Baselines
from homing.flows.hearing.probing import Probing
from homing.model.alerts import FLEET, AlertKind, Subject
from homing.model.fleet import InstanceUrl, ListedSession, SessionId
from homing.model.sessions.hearing import (
    DeepLook,
    HeardOf,
    Hearing,
    HearingCase,
    HearingRecord,
    HearingVerdict,
    Neighbours,
    Outgoing,
    Rung,
)
from homing.model.work import NewJob, Tick
from homing.ports import Clock, Fleet, Work
from homing.ports.aside import Slices
from homing.ports.sessions.hearing import Hearings

log = structlog.get_logger("homing")

KIND = "deaf-rung"
EVERY = "* * * * *"
GAP_MAX_S = 300.0
"""Rounds further apart than this: nobody listened in between, and nothing that did not come then counts."""
LOOKS_AT_ONCE = 20
LOOK_TIMEOUT_S = 5.0
SHARES_MIN = 3
VOID_MAX = 72
HISTORY_KEPT = timedelta(days=90)
PRUNED_AT_ONCE = 2_000
JUDGED_AT_ONCE = 200
"""Sessions before others have their turn: a few milliseconds' worth."""
_LATELY_H = 84


@dataclass(frozen=True, slots=True)
class JudgedHearing:
    """One session as a round found it."""

    case: HearingCase
    known: HeardOf
    verdict: HearingVerdict
    record: HearingRecord


class Judging:
    """Judges all connected sessions, round by round."""

    def __init__(
        self,
        store: Hearings,
        fleet: Fleet,
        abilities: HearingAbilities,
        work: Work,
        alerts: AlertBook,
        clock: Clock,
        *,
        budget: DeafBudget = ladder.USUAL,
        braked: Callable[[], str | None] = lambda: None,
        probing: Probing | None = None,
        dry_run: bool = False,
    ) -> None:
        """`braked` is why nothing in the fleet is touched now; `dry_run`: what would be tried is only said."""
        self._store, self._fleet, self._abilities, self._work = store, fleet, abilities, work
        self._alerts, self._clock, self._budget, self._braked = alerts, clock, budget, braked
        self._baselines = Baselines(store, clock)
        self._probing, self._dry_run = probing, dry_run
        self._next_look = 0
        self._would: dict[SessionId, Rung] = {}
        self._doubted: frozenset[SessionId] = frozenset()

    def is_doubted(self, session: SessionId) -> bool:
        """Whether it was doubtful when this gateway last judged."""
        return session in self._doubted

    async def tick(self, _: Tick) -> str:
        """One round. Raises StoreUnavailable."""
        judged = await self.judged()
        slices = Slices(self._clock, JUDGED_AT_ONCE)
        for each in judged:
            await self._keep(each)
            await slices.after()
        doubted = [each.case.session_id for each in judged if each.record.hearing is Hearing.DOUBTFUL]
        self._doubted = frozenset(doubted)
        held = self._held(judged)
        self._tell_held(held)
        if self._probing is not None:
            await self._probing.probe([(each.case, each.record) for each in judged])
        planned = await self.planned(judged, held)
        asked = self._say(planned) if self._dry_run else await self._ask(planned)
        now = self._clock.now()
        await self._store.forget_history(before=now - HISTORY_KEPT, limit=PRUNED_AT_ONCE)
        await self._store.forget(
            before=baseline.hour_of(now) - (baseline.WEEKS_KEPT + 1) * baseline.HOURS, limit=PRUNED_AT_ONCE
        )
        counts = Counter(each.record.hearing for each in judged)
        return (
            f"{len(judged)} judged, {counts[Hearing.DOUBTFUL]} doubtful, {counts[Hearing.DEAF]} deaf,"
            f" {asked} rungs asked for, {len(held)} held"
        )

    async def judged(self) -> list[JudgedHearing]:
        """All connected sessions, judged now; nothing is kept of it. Raises StoreUnavailable."""
        now = self._clock.now()
        listened_since = await self._store.listened(now, at_most_s=GAP_MAX_S)
        cases = await self._store.cases()
        await self._baselines.learn([case.session_id for case in cases], now)
        cases = await self._looked_deeper(cases, now)
        slices = Slices(self._clock, JUDGED_AT_ONCE)
        known = await self._beside_neighbours(cases, await self._known(cases, listened_since, slices), now, slices)
        known = await self._with_hours(cases, known, now, slices)
        judged = []
        for case in cases:
            judged.append(self._judge(case, known[case.session_id], now))
            await slices.after()
        return judged

    def _judge(self, case: HearingCase, known: HeardOf, now: datetime) -> JudgedHearing:
        verdict = judgment.judge(known, now)
        return JudgedHearing(case, known, verdict, standing.stands(case.record, verdict, known, now))

    # --- what is known ------------------------------------------------------------------------------------------

    async def _known(
        self, cases: Sequence[HearingCase], listened_since: datetime, slices: Slices
    ) -> dict[SessionId, HeardOf]:
        shares = self._family_shares(cases)
        known = {}
        for case in cases:
            tried = standing.evidence_since(case.record)
            moments = [listened_since, case.since_at, *([tried] if tried is not None else [])]
            family = shares.get(self._fleet.driver(case.instance_url).family)
            share = outgoing.share(case.settled, case.acknowledged, family)
            known[case.session_id] = HeardOf(
                session_id=case.session_id,
                since_at=max(moments),
                last_at=case.last_at,
                baseline=self._baselines.of(case.session_id),
                outgoing=Outgoing(case.unacknowledged, case.acknowledged_at, share),
                looked=case.looked,
                probes=case.probes,
            )
            await slices.after()
        return known

    def _family_shares(self, cases: Sequence[HearingCase]) -> dict[str, float]:
        """How much is acknowledged of the sessions of each family, by the middle one of those that are known."""
        known: dict[str, list[float]] = {}
        for case in cases:
            share = outgoing.share(case.settled, case.acknowledged)
            if share is not None:
                known.setdefault(self._fleet.driver(case.instance_url).family, []).append(share)
        return {family: median(shares) for family, shares in known.items() if len(shares) >= SHARES_MIN}

    async def _beside_neighbours(
        self, cases: Sequence[HearingCase], known: Mapping[SessionId, HeardOf], now: datetime, slices: Slices
    ) -> dict[SessionId, HeardOf]:
        """Each session with what should have come of the others of its instance since anything came of any of them."""
        by_url: dict[InstanceUrl, list[SessionId]] = {}
        for case in cases:
            by_url.setdefault(case.instance_url, []).append(case.session_id)
        found = {}
        for sessions in by_url.values():
            # Since the newest message of any of them: what should have come of each since then?
            silent_since = []
            for each in sessions:
                silent_since.append(silence.silence(known[each], now).since_at)
                await slices.after()
            newest = max(silent_since)
            missed = {}
            for each in sessions:
                missed[each] = silence.silence(replace(known[each], since_at=newest), now).expected
                await slices.after()
            heard_of = {each for each, expected in missed.items() if expected >= 1.0}
            all_missed = sum(missed.values())
            for each in sessions:
                others = len(heard_of) - (each in heard_of)
                near = Neighbours(others, all_missed - missed[each], newest)
                found[each] = replace(known[each], neighbours=near)
                await slices.after()
        return found

    async def _with_hours(
        self, cases: Sequence[HearingCase], known: dict[SessionId, HeardOf], now: datetime, slices: Slices
    ) -> dict[SessionId, HeardOf]:
        """The newest hours of those that may not be well: without them no more speaks for a session than with them."""
        unwell = {case.session_id for case in cases if case.record.hearing is not Hearing.HEARING}
        asked = set()
        for session, each in known.items():
            if session in unwell or judgment.judge(each, now).hearing is not Hearing.HEARING:
                asked.add(session)
            await slices.after()
        if not asked:
            return known
        hours = await self._store.hours(asked, since=baseline.hour_of(now) - _LATELY_H)
        return {
            session: replace(each, hours=hours.get(session, ())) if session in asked else each
            for session, each in known.items()
        }

    async def _looked_deeper(self, cases: Sequence[HearingCase], now: datetime) -> list[HearingCase]:
        """Ask after those that are not well, and after some others in turn."""
        unwell = [case for case in cases if case.record.hearing is not Hearing.HEARING]
        in_turn = [*cases[self._next_look :], *cases[: self._next_look]][:LOOKS_AT_ONCE]
        self._next_look = (self._next_look + LOOKS_AT_ONCE) % max(len(cases), 1)
        doubted = [case for case in cases if case.looked is not None and case.looked.failed]
        wanted = list({case.session_id: case for case in [*unwell, *doubted, *in_turn]}.values())[: 3 * LOOKS_AT_ONCE]
        looks = {case.session_id: await self._look(case, now) for case in wanted}
        return [
            replace(case, looked=look) if (look := looks.get(case.session_id)) is not None else case for case in cases
        ]

    async def _look(self, case: HearingCase, now: datetime) -> DeepLook | None:
        """The session asked for alone, which some families answer by asking its engine. None: no answer about it."""
        url = case.instance_url
        row = await self._fleet.driver(url).session(url, case.session_id, timeout_s=LOOK_TIMEOUT_S)
        if not isinstance(row, ListedSession):
            return None
        before = case.looked
        if row.can_send:
            look = DeepLook(now)
        else:
            failed = before.failed + 1 if before is not None else 1
            since = before.since_at if before is not None and before.since_at is not None else now
            look = DeepLook(now, failed, since, f"that it is {row.status.value}")
        if before is None or look.failed or before.failed:
            await self._store.keep_look(case.session_id, look)
        return look

    # --- what follows -------------------------------------------------------------------------------------------

    async def _keep(self, judged: JudgedHearing) -> None:
        before, after = judged.case.record, judged.record
        if after is before:
            self._tell(after)
            return
        if not await self._store.keep(after, version=judged.case.version):
            return  # somebody judged it meanwhile
        log.info("Hearing changed", session_id=after.session_id, hearing=after.hearing.value, reason=after.reason)
        if after.hearing is not Hearing.HEARING:
            await self._store.void(after.session_id, _silent_hours(judged, self._clock.now()))
        self._tell(after, before)

    def _tell(self, record: HearingRecord, before: HearingRecord | None = None) -> None:
        """An alert stands for as long as the condition does. `doubtful` is raised by failing sends, too."""
        subject = Subject.session(record.session_id)
        if record.hearing is Hearing.DEAF:
            self._alerts.raised(AlertKind.DEAF, subject, told(record))
        elif record.hearing is Hearing.DOUBTFUL:
            self._alerts.raised(AlertKind.DOUBTFUL, subject, record.reason)
        if before is not None and before.hearing is not record.hearing and before.hearing is not Hearing.HEARING:
            ended = AlertKind.DEAF if before.hearing is Hearing.DEAF else AlertKind.DOUBTFUL
            self._alerts.resolved(ended, subject)

    def _tell_held(self, held: Mapping[SessionId, str]) -> None:
        if held:
            self._alerts.raised(AlertKind.DEAF_TOGETHER, FLEET, next(iter(held.values())))
        else:
            self._alerts.resolved(AlertKind.DEAF_TOGETHER, FLEET)

    def _shared(self, judged: JudgedHearing) -> Shared:
        url = judged.case.instance_url
        instance = self._fleet.roster.instances.get(url)
        labels = instance.labels if instance is not None else {}
        return Shared(
            session_id=judged.case.session_id,
            deaf=judged.record.hearing is Hearing.DEAF,
            engine=labels.get("engine_version") or self._fleet.driver(url).family,
            exit=labels.get("exit") or labels.get("proxy"),
            instance=url,
            canary=labels.get("canary", "") not in ("", "false", "no"),
        )

    def _held(self, judged: Sequence[JudgedHearing]) -> dict[SessionId, str]:
        braked = self._braked()
        if braked is not None:
            return {each.case.session_id: braked for each in judged if each.record.hearing is Hearing.DEAF}
        if sum(each.record.hearing is Hearing.DEAF for each in judged) < mass.AT_LEAST:
            return {}
        return mass.held([self._shared(each) for each in judged])

    async def planned(
        self, judged: Sequence[JudgedHearing], held: Mapping[SessionId, str] | None = None
    ) -> list[tuple[JudgedHearing, NextRung]]:
        """What comes next for each deaf session; nothing is done."""
        now, held = self._clock.now(), self._held(judged) if held is None else held
        touched = touches(judged)
        found = []
        for each in judged:
            if each.record.hearing is not Hearing.DEAF:
                continue
            able = await self._abilities.of(each.case)
            policy, why_held = self._abilities.policy(each.case), held.get(each.case.session_id)
            next_ = ladder.next_rung(
                each.record,
                each.verdict,
                able,
                policy,
                now,
                touched=touched,
                budget=self._budget,
                held=why_held,
            )
            found.append((each, next_))
            if isinstance(next_, Climb) and next_.rung in ladder.TOUCHES:
                touched.append(now)
        return found

    def _say(self, planned: Sequence[tuple[JudgedHearing, NextRung]]) -> int:
        """Tell, once for each, which rungs would be gone up."""
        would = {each.case.session_id: next_ for each, next_ in planned if isinstance(next_, Climb)}
        for session, climb in would.items():
            if self._would.get(session) is not climb.rung:
                told = {"rung": climb.rung.value, "reason": climb.reason}
                log.warning("Deaf session: a rung would be tried", session_id=session, **told)
        self._would = {session: climb.rung for session, climb in would.items()}
        return 0

    async def _ask(self, planned: Sequence[tuple[JudgedHearing, NextRung]]) -> int:
        """Enter a job for each rung that is to be gone up now; returns how many are new."""
        jobs = [
            rung_job(each.case.session_id, next_.rung, next_.reason)
            for each, next_ in planned
            if isinstance(next_, Climb)
        ]
        return sum(entered is not None for entered in await self._work.enqueue(jobs)) if jobs else 0


def rung_job(session: SessionId, rung: Rung, reason: str) -> NewJob:
    """One rung for one session; while it is unfinished there is no second one."""
    told = {"session_id": session, "rung": rung.value, "reason": reason}
    return NewJob(KIND, told, key=f"{KIND}:{session}", dedup=session)


def touches(judged: Sequence[JudgedHearing]) -> list[datetime]:
    """When sessions were last interrupted by a ladder."""
    return [tried.began_at for each in judged for tried in each.record.tried if tried.rung in ladder.TOUCHES]


def told(record: HearingRecord) -> str:
    """Why it is deaf, and what was tried."""
    tried = [each for each in record.tried if each.began_at >= record.since_at]
    if not tried:
        return record.reason
    steps = ", ".join(f"{each.rung.value} ({each.result or 'under way'})" for each in tried)
    return f"{record.reason}; tried: {steps}"


def _silent_hours(judged: JudgedHearing, now: datetime) -> list[int]:
    begin = judged.known.last_at or now
    last = baseline.hour_of(now)
    first = max(baseline.hour_of(begin), last - VOID_MAX)
    return list(range(first, last + 1))
