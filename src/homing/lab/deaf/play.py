"""One account's weeks: what comes and goes, what breaks, and what the product makes of it, minute by minute."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from homing.decide.hearing import judgment, ladder, standing
from homing.decide.hearing.ladder import Able, Climb
from homing.lab.deaf import breakages, traffic
from homing.lab.deaf.breakages import Breakage, DeafTime, GatewayKind
from homing.lab.deaf.heard import KnownSession, moment
from homing.lab.deaf.lives import DAY_S, HOUR_S, WEEK_S, Profile
from homing.model.sessions.hearing import DeepLook, Hearing, HearingVerdict, Rung

MINUTE_S = 60.0
LOOKS_EVERY_S = 300.0
TOLD_EVERY_S = 180.0
"""One that is told already is judged again less often than the product does it."""
USUAL_PER_H = 60.0
"""An hour in which so many messages usually come is one of usual traffic."""
FAMILY_SHARE = 0.95
"""How many messages of a family's other sessions are acknowledged, where they are."""
SENDS_TELL = 5
"""An hour after so many messages went out is one of usual traffic too, where they usually are acknowledged."""
APART_S = 30.0
_STARTS_S = 45.0


@dataclass(slots=True)
class DeafStory:
    """What became of one deaf time. `due_s`: an hour of usual traffic has passed. `usual_min` counts minutes of usual
    traffic until it was noticed."""

    account: int
    busy: bool
    breakage: Breakage
    begins_s: float
    due_s: float | None = None
    noticed_s: float | None = None
    healed_s: float | None = None
    usual_min: float = 0.0
    sends: int = 0
    sent_s: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether an hour of its usual traffic came while it was deaf, or it was noticed before."""
        return self.due_s is not None or self.noticed_s is not None

    @property
    def in_time(self) -> bool:
        return self.noticed_s is not None and (self.due_s is None or self.noticed_s <= self.due_s)


@dataclass(slots=True)
class LivedWeeks:
    """What one account's weeks came to."""

    stories: list[DeafStory] = field(default_factory=list)
    rungs: Counter[str] = field(default_factory=Counter)
    false_ladders: list[str] = field(default_factory=list)
    false_doubts: list[str] = field(default_factory=list)


class LivedAccount:
    """An account under the eyes of the product."""

    def __init__(self, number: int, chance: Random, profile: Profile, family: GatewayKind) -> None:
        self._number, self._chance, self._profile, self._family = number, chance, profile, family
        self._known = KnownSession(f"session-{number}", profile.born_s)
        self._deaf: DeafTime | None = None
        self._story: DeafStory | None = None
        self._to_come = breakages.deaf_times(chance, profile, family)
        self._blind = _blind_times(chance, profile)
        self._looked_s = self._judged_s = profile.born_s
        self._mended_s: float | None = None
        self.played = LivedWeeks()

    def play(self) -> LivedWeeks:
        ahead: list[tuple[float, str]] = []
        for hour in range(int(self._profile.born_s // HOUR_S), int(self._profile.ends_s // HOUR_S)):
            self._known.hour(hour * HOUR_S)
            ahead = sorted([*ahead, *self._traffic(hour)])
            end = (hour + 1) * HOUR_S
            done = 0
            for at, what in ahead:
                if at >= end:
                    break
                done += 1
                self._pass(at)
                self._take(at, what)
            del ahead[:done]
            self._pass(end)
        return self.played

    # --- what happens -------------------------------------------------------------------------------------------

    def _traffic(self, hour: int) -> Iterator[tuple[float, str]]:
        chance = self._chance
        came = traffic.messages(chance, self._profile, hour)
        yield from ((at, "message") for at in came)
        yield from ((at, "send") for at in traffic.sends(chance, self._profile, came, hour))

    def _take(self, at: float, what: str) -> None:
        deaf = self._deaf
        if self._is_blind(at):
            return
        if what == "message" and deaf is None:
            self._known.message(at)
        elif what == "acknowledged" and (deaf is None or deaf.breakage is Breakage.NOTHING_COMES):
            self._known.acknowledged(at)
        elif what == "send":
            self._known.sent(at)
            hears = deaf is None or deaf.breakage is Breakage.NOTHING_COMES
            if hears and self._family.acknowledges and self._chance.random() >= self._profile.lost_acks:
                self._known.acknowledged(at + 0.5)
            if self._story is not None:
                self._count_send(self._story, at)

    def _count_send(self, story: DeafStory, at: float) -> None:
        if story.sends and at - story.sent_s < APART_S:
            return
        story.sends, story.sent_s = story.sends + 1, at
        tells = story.breakage is not Breakage.NOTHING_COMES and self._family.acknowledges
        if tells and story.sends == SENDS_TELL and story.due_s is None:
            story.due_s = at + HOUR_S

    def _is_blind(self, at: float) -> bool:
        return bool(self._blind) and self._blind[0][0] <= at < self._blind[0][1]

    # --- minutes ------------------------------------------------------------------------------------------------

    def _pass(self, until: float) -> None:
        """The rounds until this moment."""
        while self._judged_s + MINUTE_S <= until:
            self._judged_s += MINUTE_S
            self._minute(self._judged_s)

    def _minute(self, at: float) -> None:
        self._break(at)
        if self._story is not None:
            self._count_usual(self._story, at)
        if self._mended_s is not None and at >= self._mended_s:
            self._heal(at)
        if self._blind and self._blind[0][0] <= at:
            self._known.since_s = max(self._known.since_s, self._blind[0][1])
            if at >= self._blind[0][1] + MINUTE_S:
                self._blind.pop(0)
            return
        if self._family.looks_deeper and at - self._looked_s >= LOOKS_EVERY_S:
            self._look_deeper(at)
        is_told = self._known.record.hearing is not Hearing.HEARING
        if (is_told and at % TOLD_EVERY_S == 0) or (not is_told and self._known.suspicious(at)):
            self._judge(at)

    def _break(self, at: float) -> None:
        if self._to_come and self._to_come[0].begins_s <= at and self._deaf is None:
            if self._known.record.hearing is not Hearing.HEARING:
                self._to_come.pop(0)
                return
            self._deaf = self._to_come.pop(0)
            self._story = DeafStory(self._number, self._profile.is_busy, self._deaf.breakage, at)
            self.played.stories.append(self._story)

    def _heal(self, at: float) -> None:
        self._deaf = self._mended_s = None
        if self._story is not None:
            self._story.healed_s = at
        self._story, self._known.since_s = None, at

    def _count_usual(self, story: DeafStory, at: float) -> None:
        if story.noticed_s is not None:
            return
        has_past = self._profile.has_past or story.begins_s - self._profile.born_s >= WEEK_S + DAY_S
        if has_past and self._profile.usual[int(at // HOUR_S) % 168] >= USUAL_PER_H:
            story.usual_min += 1
            if story.usual_min >= 60 and story.due_s is None:
                story.due_s = at

    def _look_deeper(self, at: float) -> None:
        before, self._looked_s = self._known.looked, at
        if self._deaf is not None and self._deaf.breakage is Breakage.DEAD_ENGINE:
            failed = before.failed + 1 if before is not None else 1
            since = before.since_at if before is not None and before.failed else moment(at)
            self._known.looked = DeepLook(moment(at), failed, since, "its engine does not run")
        else:
            hiccup = self._chance.random() < 0.002
            self._known.looked = DeepLook(moment(at), int(hiccup), moment(at) if hiccup else None, "not connected")

    # --- the product --------------------------------------------------------------------------------------------

    def _judge(self, at: float) -> None:
        known, now = self._known, moment(at)
        usually = FAMILY_SHARE if self._family.acknowledges else None
        heard = known.of(usually)
        verdict = judgment.judge(heard, now)
        before = known.record
        known.record = standing.stands(before, verdict, heard, now)
        if known.record.hearing is not before.hearing:
            self._told(at)
        self._count_from_now()
        if known.record.hearing is Hearing.DEAF:
            self._climb(at, verdict)

    def _told(self, at: float) -> None:
        record = self._known.record
        if record.hearing is Hearing.HEARING:
            return
        self._known.void_since(at)
        if self._story is not None:
            self._story.noticed_s = self._story.noticed_s or at
        elif self._deaf is None:
            self.played.false_doubts.append(f"{moment(at)} {self._profile.life}: {record.hearing}: {record.reason}")

    def _climb(self, at: float, verdict: HearingVerdict) -> None:
        known, family = self._known, self._family
        able = Able(
            resubscribes=family.resubscribes,
            reconnects=family.reconnects,
            restarts=family.restarts,
            fenced=family.fenced,
            recycles=family.recycles,
            mode=family.mode,
        )
        next_ = ladder.next_rung(known.record, verdict, able, family.policy, moment(at))
        if not isinstance(next_, Climb):
            return
        known.record = standing.began(known.record, next_.rung, moment(at))
        self.played.rungs[next_.rung.value] += 1
        if self._deaf is None:
            self.played.false_ladders.append(f"{moment(at)} {self._profile.life}: {next_.reason}")
        if next_.rung is Rung.ALERT and self._deaf is not None:
            self._mended_s = at + breakages.MENDED_BY_A_PERSON_S
        elif self._deaf is not None and breakages.helps(self._deaf, next_.rung):
            self._heal(at)
        known.record = standing.ended(known.record, next_.rung, moment(at), "done")
        self._count_from_now()

    def _count_from_now(self) -> None:
        if (since := standing.evidence_since(self._known.record)) is not None:
            self._known.since_s = max(self._known.since_s, (since - moment(0)).total_seconds())


def _blind_times(chance: Random, profile: Profile) -> list[tuple[float, float]]:
    """Its gateway is started anew, or this one is: nothing is heard meanwhile, and it is connected anew after."""
    found = []
    at = profile.born_s + chance.expovariate(1 / (7 * DAY_S))
    while at < profile.ends_s:
        found.append((at, at + _STARTS_S + chance.expovariate(1 / 400)))
        at += DAY_S / 2 + chance.expovariate(1 / (7 * DAY_S))
    return found
