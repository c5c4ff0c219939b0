"""Defects of knowing: what is believed of where sessions are, and of how instances do."""

from tests.mutations.defect import Defect, Seeds, tests

_RECONCILE = (tests("decide/test_reconcile.py"), tests("flows/test_send.py"))
_HINTS = (tests("flows/test_hints.py"),)
_BRAKE = (tests("decide/test_brake.py"), tests("flows/test_keeper.py"))
_HEALTH = (tests("decide/test_health.py"), tests("flows/test_watching.py"))

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "older-holder-is-adopted",
        "an instance that has the session under an older epoch is taken for its home",
        "homing/decide/knowledge/reconcile.py",
        "if row.epoch is not None and row.epoch < placement.epoch:",
        "if row.epoch is not None and row.epoch < 0:",
        _RECONCILE,
    ),
    Defect(
        "settled-by-luck",
        "of two that claim a session one is taken",
        "homing/decide/knowledge/reconcile.py",
        "if len(ranked) < len(holders) or ranked[-1][0] == ranked[-2][0]:",
        "if not ranked:",
        _RECONCILE,
    ),
    Defect(
        "silence-is-a-list",
        "a session counts as unlinked although an instance could not be asked",
        "homing/decide/knowledge/reconcile.py",
        "if claims and not observed.silent:",
        "if claims:",
        _RECONCILE,
    ),
    Defect(
        "foreign-epoch-stands",
        "a session found on a gateway without epochs keeps its old one",
        "homing/decide/knowledge/reconcile.py",
        "else Epoch(placement.epoch + 1)",
        "else placement.epoch",
        _RECONCILE,
    ),
    Defect(
        "departure-drowns-an-arrival",
        "who told that a session came is not asked when another one tells that it left",
        "homing/flows/webhooks/hints.py",
        "return replace(kept, others=frozenset(self.senders | later.senders))",
        "return later",
        _HINTS,
    ),
    Defect(
        "hint-is-believed",
        "a session moves on the word of the claimant, its present holder not asked",
        "homing/flows/webhooks/hints.py",
        "if url in {*senders, *holders}]",
        "if url in {*senders}]",
        (*_HINTS, Seeds("standard", 8)),
    ),
    Defect(
        "quarantine-ends-by-itself",
        "a session that was set aside comes back as soon as it is seen",
        "homing/decide/reports/hints.py",
        "    if known is SessionStatus.QUARANTINED:\n        return None\n",
        "",
        (tests("decide/test_hint_judgments.py"), tests("flows/test_take_backs.py")),
    ),
    Defect(
        "one-list-for-each-session",
        "a look asks every instance again for each session that is lost",
        "homing/flows/discovery/rediscover.py",
        "        if self._gathering is None:\n",
        "        if self._gathering is None or self._gathering.wanted:\n",
        (tests("flows/test_send.py"),),
    ),
    Defect(
        "no-brake",
        "however many instances are in doubt, sessions are moved",
        "homing/decide/fleet/brake.py",
        "if len(ill) < policy.at_least or len(ill) <= policy.share * len(counted):",
        "if len(ill) >= 0:",
        _BRAKE,
    ),
    Defect(
        "brake-lets-go",
        "half a minute after half the fleet fell silent, all of it is moved",
        "homing/decide/fleet/brake.py",
        "however_long=engaged)",
        "however_long=False)",
        _BRAKE,
    ),
    Defect(
        "refusal-is-death",
        "refused connections alone make an instance gone, while its heart beats",
        "homing/decide/fleet/health.py",
        "if refused is None or late_s <= 0:",
        "if refused is None:",
        _HEALTH,
    ),
    Defect(
        "one-refusal-is-enough",
        "an instance that restarts is given up at the first refused connection",
        "homing/decide/fleet/health.py",
        "if not refused or max(refused) - min(refused) < policy.refused_apart_s:",
        "if not refused:",
        _HEALTH,
    ),
    Defect(
        "others-are-blamed",
        "what went wrong while our own loop stood counts against instances",
        "homing/decide/fleet/health.py",
        "    if seen.signal is Signal.ANSWERED:\n        return False\n    took_s",
        "    if seen.at_s >= 0:\n        return False\n    took_s",
        _HEALTH,
    ),
    Defect(
        "no-grace-after-an-outage",
        "as soon as the store is back, those who could not renew are given up",
        "homing/decide/fleet/health.py",
        "if local.store_steady_s < policy.lease.expiry_s:",
        "if local.store_steady_s < 0:",
        _HEALTH,
    ),
    Defect(
        "well-at-once",
        "one answer makes a flapping instance healthy",
        "homing/decide/fleet/health.py",
        "len(answers) >= policy.answers_to_trust",
        "len(answers) >= 1",
        _HEALTH,
    ),
)
