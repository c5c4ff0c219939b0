"""What is there to tell a receiver, given what stands, what it was told, and what is silenced?

A receiver is told of the difference between what stands and what it believes to stand. So one that was away for an hour
is told of each alert that still matters, once, and of nothing that came and passed meanwhile.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from homing.decide.alerts import places
from homing.model.alerts import GUIDES, Alert, AlertKind, Subject
from homing.model.deliveries.receivers import AlertPlace, AlertSilence, Reminding, ToldAlert

_NO_REMINDERS: Mapping[AlertKind, Reminding] = {}
_ID_LENGTH = 24
STORM = 10
"""So many of one kind told within `STORM_PAUSE` are one trouble: what else comes of it is told together, after that."""
STORM_PAUSE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class AlertNews:
    """What a receiver is to be told: alerts that stand and that it does not know, and such as passed."""

    firing: tuple[ToldAlert, ...] = ()
    resolved: tuple[ToldAlert, ...] = ()

    @property
    def any(self) -> bool:
        return bool(self.firing or self.resolved)


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """Alerts of one kind that are told together; they stand, or have passed."""

    kind: AlertKind
    firing: bool
    alerts: tuple[ToldAlert, ...]
    places: Mapping[Subject, AlertPlace] = field(default_factory=dict)

    def place(self, told: ToldAlert) -> AlertPlace | None:
        return self.places.get(told.alert.subject)

    @property
    def id(self) -> str:
        """The same for the same alerts, whoever tells of them and however often."""
        told = "|".join([self.kind.value, str(self.firing), *sorted(_telling(each) for each in self.alerts)])
        return hashlib.sha256(told.encode()).hexdigest()[:_ID_LENGTH]


def _telling(told: ToldAlert) -> str:
    """Names this telling of it: a reminder is another one than the first."""
    return f"{told.alert_id}/{told.reminder}" if told.reminder else told.alert_id


@dataclass(frozen=True, slots=True)
class AlertBundle:
    """Groups of several kinds that are one trouble: `where` says what they share; empty for a group by itself."""

    groups: tuple[AlertGroup, ...]
    where: str = ""

    @property
    def id(self) -> str:
        """Like that of a group, which it is if there is one alone."""
        if len(self.groups) == 1:
            return self.groups[0].id
        return hashlib.sha256("|".join(sorted(each.id for each in self.groups)).encode()).hexdigest()[:_ID_LENGTH]

    @property
    def alerts(self) -> tuple[ToldAlert, ...]:
        return tuple(told for group in self.groups for told in group.alerts)


def bundled(groups: Sequence[AlertGroup]) -> list[AlertBundle]:
    """Groups whose alerts are all on one instance, else on one machine, else of one engine, are told together.

    What stands and what has passed are never mixed, and neither is what is about the whole fleet.
    """
    left, made = list(groups), list[AlertBundle]()
    for aspect in places.ASPECTS:
        of: dict[tuple[bool, str], list[AlertGroup]] = {}
        for group in left:
            name = places.shared((group.place(each) for each in group.alerts), aspect)
            if name is not None:
                of.setdefault((group.firing, name), []).append(group)
        for (_, name), together in of.items():
            if len(together) > 1:
                made.append(AlertBundle(tuple(together), places.on(aspect, name)))
                left = [each for each in left if each not in together]
    alone = [AlertBundle((group,)) for group in left]
    return sorted([*made, *alone], key=lambda each: min(groups.index(group) for group in each.groups))


def alert_id(alert: Alert) -> str:
    """The same in every gateway for as long as the condition stands, and another one when it comes again."""
    told = f"{alert.kind.value}|{alert.subject.about.value}|{alert.subject.name}|{alert.raised_at.isoformat()}"
    return hashlib.sha256(told.encode()).hexdigest()[:_ID_LENGTH]


def news(
    standing: Iterable[Alert],
    told: Mapping[str, ToldAlert],
    silences: Sequence[AlertSilence],
    now: datetime,
    reminding: Mapping[AlertKind, Reminding] = _NO_REMINDERS,
) -> AlertNews:
    """What is to be told. A silenced alert is not told as long as the silence lasts; that it passed is, if it was told
    that it stands. Kinds that are named in `reminding` are told again while they stand."""
    stands = {alert_id(alert): alert for alert in standing}
    firing = [
        ToldAlert(named, alert, reminder=number)
        for named, alert in stands.items()
        if (number := _reminder(alert, told.get(named), reminding.get(alert.kind), now)) is not None
        and not any(silenced(alert, each, now) for each in silences)
    ]
    passed = [each for named, each in told.items() if named not in stands]
    stormy = _stormy(told.values(), now)
    still = Counter(each.alert.kind for named, each in told.items() if named in stands)
    return AlertNews(
        tuple(each for each in firing if each.alert.kind not in stormy),
        tuple(each for each in passed if each.alert.kind not in stormy or not still[each.alert.kind]),
    )


def _reminder(alert: Alert, told: ToldAlert | None, reminding: Reminding | None, now: datetime) -> int | None:
    """The number of the telling that is due: 0 is the first; None: none is.

    Reminders are due at moments that follow from when the alert was raised, at least `every_s` after the last telling;
    what was told after such a moment is not told for it again: however many gateways look, and whenever they started.
    """
    if told is None:
        return 0
    if reminding is None or told.told_at is None:
        return None
    every = timedelta(seconds=reminding.every_s)
    number = min((now - alert.raised_at) // every, reminding.times - 1)
    is_due = number >= 1 and told.told_at < alert.raised_at + number * every
    return number if is_due and now - told.told_at >= every else None


def _stormy(told: Iterable[ToldAlert], now: datetime) -> set[AlertKind]:
    """The kinds of which many were told just now."""
    lately = Counter(each.alert.kind for each in told if each.told_at is not None and now - each.told_at < STORM_PAUSE)
    return {kind for kind, number in lately.items() if number >= STORM}


def silenced(alert: Alert, silence: AlertSilence, now: datetime) -> bool:
    """Whether a silence covers an alert now."""
    return (
        now < silence.until
        and silence.kind in (None, alert.kind)
        and silence.about in (None, alert.subject.about)
        and silence.subject in ("", alert.subject.name)
    )


def grouped(told: AlertNews, where: Mapping[Subject, AlertPlace], *, at_once: int | None = None) -> list[AlertGroup]:
    """What is told together: alerts of one kind that stand, and such as passed; the most severe kinds first.

    `at_once`: what a receiver that is told of each alert can be expected to take in one document.
    """
    groups = []
    for firing, alerts in ((True, told.firing), (False, told.resolved)):
        for kind in sorted({each.alert.kind for each in alerts}, key=lambda kind: (GUIDES[kind].severity, kind)):
            of_kind = tuple(
                sorted((each for each in alerts if each.alert.kind is kind), key=lambda each: each.alert_id)
            )
            size = at_once or len(of_kind)
            parts = [of_kind[start : start + size] for start in range(0, len(of_kind), size)]
            groups += [AlertGroup(kind, firing, part, where) for part in parts]
    return groups
