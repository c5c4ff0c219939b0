"""Many sessions that go deaf at once, minute by minute through the product's brake, ladder and budgets."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from homing.decide.hearing import ladder, mass, standing
from homing.decide.hearing.ladder import Able, Climb
from homing.decide.hearing.mass import Shared
from homing.lab.deaf.lives import BEGIN
from homing.model.fleet import DeafPolicy, InstanceUrl, SessionId
from homing.model.sessions.hearing import Hearing, HearingRecord, HearingVerdict, Rung, Shows

_ABLE = Able(resubscribes=True, reconnects=True, restarts=True, fenced=True)
_SILENT = frozenset({Shows.SILENCE, Shows.UNACKNOWLEDGED})
_STILL = HearingVerdict(Hearing.DEAF, "nothing comes", 30.0, _SILENT)


@dataclass(slots=True)
class DeafTogether:
    """What became of them. `touched_at` is when sessions were interrupted; `held` how many were, at the most."""

    deaf: int
    rungs: Counter[Rung] = field(default_factory=Counter)
    touched_at: list[datetime] = field(default_factory=list)
    touched: set[SessionId] = field(default_factory=set)
    held: int = 0
    why_held: str | None = None

    @property
    def touches_an_hour(self) -> int:
        """How many sessions were interrupted within the worst hour."""
        hour = timedelta(hours=1)
        return max((sum(at <= each < at + hour for each in self.touched_at) for at in self.touched_at), default=0)

    @property
    def is_well(self) -> bool:
        """Whether none of those that were held was touched, and of others no more than the fleet's budget."""
        if self.held == self.deaf:
            return not self.touched
        return self.touches_an_hour <= ladder.USUAL.fleet_touches

    def document(self) -> dict[str, int]:
        return {
            "deaf": self.deaf,
            "held": self.held,
            "touched": len(self.touched),
            "touches_an_hour": self.touches_an_hour,
        }


def played() -> dict[str, DeafTogether]:
    """A whole engine version that goes deaf, a thousand at once, and a thousand that share nothing."""
    versions, many = ("webjs 1.34", "noweb 2.3"), tuple(f"engine {number}" for number in range(20))
    of_one = fleet_of(800, versions, lambda number, engine: engine == versions[0] and number % 2 == 0)
    return {
        "engine_outage": play(of_one, minutes=120),
        "thousand_at_once": play(fleet_of(1_500, ("one",), lambda number, _: number % 3 != 0), minutes=60),
        "thousand_unrelated": play(fleet_of(5_000, many, lambda number, _: number % 5 == 0), minutes=130),
    }


def play(
    fleet: Sequence[Shared],
    *,
    minutes: int,
    policy: DeafPolicy = DeafPolicy.FULL,
    helps: Callable[[SessionId, Rung], bool] = lambda _, __: False,
) -> DeafTogether:
    """Those that are deaf stay so until a rung `helps`; each minute the next rungs are gone up, as the gateway does."""
    members = {each.session_id: each for each in fleet}
    records = {each.session_id: _record(each) for each in fleet if each.deaf}
    found = DeafTogether(len(records))
    for minute in range(minutes):
        now = BEGIN + timedelta(minutes=minute)
        held = mass.held(list(members.values()))
        if len(held) > found.held:
            found.held, found.why_held = len(held), next(iter(held.values()))
        for session, record in list(records.items()):
            touched, why = found.touched_at, held.get(session)
            next_ = ladder.next_rung(record, _STILL, _ABLE, policy, now, touched=touched, held=why)
            if not isinstance(next_, Climb):
                continue
            _climbed(found, session, next_.rung, now)
            if helps(session, next_.rung):
                del records[session]
                members[session] = _hears(members[session])
            else:
                began = standing.began(record, next_.rung, now)
                records[session] = standing.ended(began, next_.rung, now, "done")
    return found


def fleet_of(
    sessions: int, engines: Sequence[str], deaf: Callable[[int, str], bool], *, each: int = 50
) -> list[Shared]:
    """So many sessions, `each` on one instance, on instances of these engine versions in turn."""
    found = []
    for number in range(sessions):
        instance = number // each
        engine = engines[instance % len(engines)]
        url = InstanceUrl(f"http://wa{instance}:3001")
        found.append(Shared(SessionId(f"session-{number}"), deaf(number, engine), engine, None, url))
    return found


def _record(each: Shared) -> HearingRecord:
    return HearingRecord(each.session_id, Hearing.DEAF, "nothing comes", BEGIN, 30.0, _SILENT)


def _hears(each: Shared) -> Shared:
    return Shared(each.session_id, False, each.engine, each.exit, each.instance, each.canary)


def _climbed(found: DeafTogether, session: SessionId, rung: Rung, now: datetime) -> None:
    found.rungs[rung] += 1
    if rung in ladder.TOUCHES:
        found.touched_at.append(now)
        found.touched.add(session)
