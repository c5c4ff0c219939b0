"""Defects of judging whether connected sessions hear, and of what is tried with those that do not."""

from tests.mutations.defect import Defect, tests

_JUDGED = (tests("decide/test_hearing.py"),)
_LADDER = (tests("decide/test_deaf_ladder.py"),)
_ROUNDS = (tests("flows/test_hearing_rounds.py"),)
_KEPT = (tests("contract/test_hearings.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "quiet-accounts-judged",
        "a silence counts in hours in which next to nothing comes",
        "homing/decide/hearing/baseline.py",
        "BUSY = 6.0\n",
        "BUSY = 0.1\n",
        _JUDGED,
    ),
    Defect(
        "day-off-is-deaf",
        "a silence that began outside usual traffic makes a session deaf by itself",
        "homing/decide/hearing/judgment.py",
        "    if quiet.abrupt < DOUBTFUL_FROM and beside < _CORROBORATED:\n",
        "    if quiet.abrupt < -1 and beside < _CORROBORATED:\n",
        _JUDGED,
    ),
    Defect(
        "one-week-is-enough",
        "a session that is known for one week is called deaf by its silence",
        "homing/decide/hearing/silence.py",
        "base.weeks >= WEEKS_FOUNDED\n",
        "base.weeks >= 0\n",
        _JUDGED,
    ),
    Defect(
        "spam-is-expected",
        "what usually comes is the most that came",
        "homing/decide/hearing/baseline.py",
        "    place = (len(counts) - 1) / 4\n",
        "    place = float(len(counts) - 1)\n",
        _JUDGED,
    ),
    Defect(
        "void-hours-learnt",
        "hours in which a session was not well lower what is expected of it",
        "homing/decide/hearing/baseline.py",
        "        if not any(row is not None and row.void for row in rows):\n",
        "        if rows:\n",
        _JUDGED,
    ),
    Defect(
        "two-pending-are-enough",
        "one or two messages without an acknowledgement speak against a session",
        "homing/decide/hearing/judgment.py",
        "    if len(late) < UNACKNOWLEDGED_MIN:\n",
        "    if not late:\n",
        _JUDGED,
    ),
    Defect(
        "one-bad-look-is-proof",
        "one bad answer to the deeper question makes a session deaf",
        "homing/decide/hearing/judgment.py",
        "DEEP_LOOKS = 2\n",
        "DEEP_LOOKS = 1\n",
        _JUDGED,
    ),
    Defect(
        "replays-are-life",
        "an old report that is told late is a sign of life",
        "homing/decide/hearing/freshness.py",
        "late_s - (skew or 0.0) < REPLAYED_AFTER_S\n",
        "late_s - (skew or 0.0) < 1e9\n",
        _JUDGED,
    ),
    Defect(
        "sick-version-restarted",
        "all sessions of one engine version that went deaf together are treated",
        "homing/decide/hearing/mass.py",
        "        if each.deaf and why is not None and not each.canary:\n",
        "        if each.deaf and why is None and not each.canary:\n",
        _JUDGED,
    ),
    Defect(
        "observed-is-restarted",
        "the policy observe does not keep a session from being touched",
        "homing/decide/hearing/ladder.py",
        '    if policy is DeafPolicy.OBSERVE:\n        return "the policy is observe"\n',
        '    if policy is DeafPolicy.OBSERVE and not able.fenced:\n        return "the policy is observe"\n',
        _LADDER,
    ),
    Defect(
        "rungs-without-budget",
        "a rung is tried as often as a session goes deaf",
        "homing/decide/hearing/ladder.py",
        "    if times < budget.per_session[rung]:\n",
        "    if times < 1_000:\n",
        _LADDER,
    ),
    Defect(
        "healed-by-being-treated",
        "what was tried ends the condition although nothing was heard",
        "homing/decide/hearing/standing.py",
        "        return before\n    if verdict.hearing is before.hearing:\n",
        "        return _changed(before, verdict, now)\n    if verdict.hearing is before.hearing:\n",
        _LADDER,
    ),
    Defect(
        "next-rung-at-night",
        "the ladder goes on although too little should have come to tell",
        "homing/decide/hearing/ladder.py",
        "    if verdict.hearing is Hearing.HEARING or is_silent_only:\n",
        "    if verdict.hearing is Hearing.DEAF and is_silent_only:\n",
        _LADDER,
    ),
    Defect(
        "rung-repeated-after-a-kill",
        "a rung that a killed gateway began is gone up again",
        "homing/flows/hearing/climbing.py",
        "        if begun:\n",
        "        if begun and begun[0].ended_at is not None:\n",
        _ROUNDS,
    ),
    Defect(
        "pause-is-silence",
        "what nobody listened to counts against sessions",
        "homing/flows/hearing/judging.py",
        "            moments = [listened_since, case.since_at,",
        "            moments = [case.since_at,",
        _ROUNDS,
    ),
    Defect(
        "older-judgment-wins",
        "a judgment by an older record overwrites the newer one",
        "homing/store/records/hearing.py",
        "            is_it = (hearing.c.session_id == record.session_id) & (hearing.c.version == version)\n",
        "            is_it = hearing.c.session_id == record.session_id\n",
        _KEPT,
    ),
)
