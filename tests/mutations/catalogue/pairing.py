"""Defects of pairing: who is told to scan a code, and what disturbs one who does."""

from tests.mutations.defect import Defect, tests

_LINKING = (tests("decide/test_linking.py"), tests("flows/test_recorded_pairing.py"))
_PAIRING = (tests("serve/test_pairing_api.py"),)
_REMEMBERED = (tests("contract/test_remembered_links.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "starting-is-logged-out",
        "a session that is restored counts as one that waits for a person",
        "homing/decide/starting/linking.py",
        "return SessionStatus.PAIRING if needed else SessionStatus.STARTING",
        "return SessionStatus.PAIRING",
        _LINKING,
    ),
    Defect(
        "a-code-counts-for-ever",
        "a code that was reported before the session was ready still counts",
        "homing/decide/starting/linking.py",
        "if at is None or (known.ready_at is not None and at <= known.ready_at):",
        "if at is None:",
        _LINKING,
    ),
    Defect(
        "a-logout-is-not-followed",
        "a session that is logged out stays disconnected for ever",
        "homing/decide/starting/linking.py",
        '"LOGOUT": LinkSign.ENDED,',
        '"LOGGED_OFF": LinkSign.ENDED,',
        _LINKING,
    ),
    Defect(
        "anybody-reports-a-logout",
        "what an instance reports counts although it does not hold the session",
        "homing/store/directory/linking.py",
        '.where(sessions.c.session_id == bindparam("session"), holds_it)',
        '.where(sessions.c.session_id == bindparam("session"), holds_it | True)',
        _REMEMBERED,
    ),
    Defect(
        "codes-are-renewed-at-will",
        "a new code is asked for as often as somebody wants one",
        "homing/flows/operations/pairing.py",
        "if wait_s > 0:",
        "if wait_s < 0:",
        _PAIRING,
    ),
    Defect(
        "the-old-code-is-the-new-one",
        "who asks for a new code is shown the one that is void by then",
        "homing/flows/operations/pairing.py",
        "if event is not None and event.sequence > after:",
        "if event is not None:",
        _PAIRING,
    ),
    Defect(
        "a-code-lives-for-ever",
        "a code is shown with the time that it had when it was reported",
        "homing/flows/operations/pairing.py",
        "max(0, int(lives_s - max(0.0, ago_s)))",
        "max(1, int(lives_s))",
        _PAIRING,
    ),
)
