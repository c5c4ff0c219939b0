"""Does a session that its instance calls connected hear? With its evidence in a sentence.

Each kind of evidence is weighed by how unlikely it would be of a session that hears (`against`, a natural logarithm),
and what is independent adds up. No verdict stands on silence alone where silence has another explanation: at night and
on quiet accounts nothing is expected, and a silence that began outside usual traffic may be a day off, so that it makes
a session doubtful and never deaf by itself. docs/decisions says more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log

from homing.decide.hearing.silence import Silence, silence
from homing.model.sessions.hearing import HeardOf, Hearing, HearingVerdict, Shows

DOUBTFUL_FROM = 6.0
"""e⁻⁶ is one in four hundred, and rates are taken low besides."""
DEAF_FROM = 16.0
ACKNOWLEDGED_WITHIN = timedelta(minutes=5)
UNACKNOWLEDGED_MIN = 3
"""Fewer messages without an acknowledgement say nothing of the session: their recipients may."""
_LOST_AT_LEAST = 0.03
"""However well acknowledgements usually come, one in so many is taken to go missing."""
_USUALLY = 0.6
"""Where fewer of its messages were acknowledged, missing acknowledgements say nothing."""
DEEP_LOOKS = 2
DEEP_LOOKS_FOR = timedelta(minutes=2)
"""A deeper question must be answered badly so often and for so long: one bad answer is often just a reconnect."""
_DEEP_LOOK = 20.0
PROBE = 6.0
"""A message to itself that is unacknowledged: its recipient is certainly there, so that one tells as much as two."""
_PROBES_COUNTED = 3
_INSTANCE_SESSIONS = 3
_INSTANCE_FROM = 20.0
_OWN_PART = 2.0
"""Of an instance of which nothing comes, a session counts as silent only if this many bursts of its own are missing."""
_CORROBORATED = 6.0


@dataclass(frozen=True, slots=True)
class _Against:
    """One kind of evidence: how much it weighs, and its sentence."""

    shows: Shows
    weight: float
    says: str


def judge(known: HeardOf, now: datetime) -> HearingVerdict:
    """Whether the session hears, is doubtful, or deaf."""
    quiet = silence(known, now)
    kinds = (_silent(quiet, now), _unacknowledged(known, now), _probed(known, now), _deep_look(known))
    found = [each for each in kinds if each is not None]
    if (instance := _instance(known, quiet, now)) is not None:
        found.append(instance)
    weight = sum(each.weight for each in found)
    return _verdict(found, weight, quiet)


def _verdict(found: Sequence[_Against], weight: float, quiet: Silence) -> HearingVerdict:
    if weight < DOUBTFUL_FROM:
        return HearingVerdict(Hearing.HEARING, "too little speaks against it", weight)
    told = [each for each in found if each.weight > 0]
    shows, reason = frozenset(each.shows for each in told), "; ".join(each.says for each in told)
    beside = sum(each.weight for each in told if each.shows is not Shows.SILENCE)
    if quiet.abrupt < DOUBTFUL_FROM and beside < _CORROBORATED:
        said = f"{reason}; that began outside its usual traffic, and may be a day off"
        return HearingVerdict(Hearing.DOUBTFUL, said, weight, shows)
    if weight < DEAF_FROM or (quiet.abrupt < DEAF_FROM and beside < _CORROBORATED):
        return HearingVerdict(Hearing.DOUBTFUL, reason, weight, shows)
    return HearingVerdict(Hearing.DEAF, reason, weight, shows)


def _silent(quiet: Silence, now: datetime) -> _Against | None:
    if quiet.weight < 1.0:
        return None
    usual = f"at least {quiet.usual_per_h:.0f} an hour usually come at this time of its week"
    return _Against(Shows.SILENCE, quiet.weight, f"no message has come for {span(now - quiet.since_at)}, and {usual}")


def _unacknowledged(known: HeardOf, now: datetime) -> _Against | None:
    """Messages that went out and of which nothing was told since, not even that WhatsApp took them."""
    out = known.outgoing
    if out.acknowledged_share is None or out.acknowledged_share < _USUALLY:
        return None
    late = [at for at in out.unacknowledged if at >= known.since_at and now - at >= ACKNOWLEDGED_WITHIN]
    if len(late) < UNACKNOWLEDGED_MIN:
        return None
    weight = len(late) * log(1 / max(_LOST_AT_LEAST, 1 - out.acknowledged_share))
    last = f"{span(now - out.acknowledged_at)} ago" if out.acknowledged_at is not None else "never"
    says = f"{len(late)} messages that went out are unacknowledged, the last acknowledgement came {last}"
    return _Against(Shows.UNACKNOWLEDGED, weight, says)


def _probed(known: HeardOf, now: datetime) -> _Against | None:
    """Messages that it was sent to itself, of which nothing was told since."""
    out = known.outgoing
    if out.acknowledged_share is not None and out.acknowledged_share < _USUALLY:
        return None
    since = known.since_at if out.acknowledged_at is None else max(known.since_at, out.acknowledged_at)
    late = [at for at in known.probes if at >= since and now - at >= ACKNOWLEDGED_WITHIN]
    if not late or out.acknowledged_share is None:
        return None
    weight = PROBE * min(len(late), _PROBES_COUNTED)
    return _Against(Shows.PROBE, weight, f"{len(late)} messages that it was sent to itself are unacknowledged")


def _deep_look(known: HeardOf) -> _Against | None:
    looked = known.looked
    if looked is None or looked.since_at is None or looked.failed < DEEP_LOOKS:
        return None
    if looked.since_at < known.since_at or looked.at - looked.since_at < DEEP_LOOKS_FOR:
        return None
    return _Against(
        Shows.DEEP_LOOK, _DEEP_LOOK, f"asked deeper, its gateway says {looked.said} ({looked.failed} times)"
    )


def _instance(known: HeardOf, quiet: Silence, now: datetime) -> _Against | None:
    """Nothing comes of its whole instance: what many sessions show, one of them need not show alone."""
    near = known.neighbours
    if near.sessions < _INSTANCE_SESSIONS or near.expected < _INSTANCE_FROM or quiet.expected < _OWN_PART:
        return None
    for_ = span(now - near.since_at) if near.since_at is not None else "long"
    says = f"nothing has come of {near.sessions} other sessions of its instance for {for_} either"
    return _Against(Shows.INSTANCE, DEAF_FROM, says)


def span(length: timedelta) -> str:
    """A length of time as a person says it."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
