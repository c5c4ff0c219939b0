"""Defects of taking up what runs: whose a session is, whose phone is linked, and what is known now."""

from tests.mutations.defect import Defect, tests

_ADOPTION = (tests("serve/test_adoption_api.py"),)
_NAMING = (tests("contract/test_directory_naming.py"),)
_STRAYS = (tests("flows/test_stray_sessions.py"),)
_NAMED = (tests("serve/test_names_with_slashes.py"),)
_KEYED = (tests("contract/test_idempotency_keys.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "anybody-takes-up-anything",
        "a workspace takes up a session that is listed as another one's",
        "homing/decide/knowledge/adoption.py",
        "return allowed is None or row.workspace_id == allowed",
        "return True",
        _ADOPTION,
    ),
    Defect(
        "found-for-somebody-else",
        "an account that is nowhere is placed where another workspace's session of that id turns up",
        "homing/decide/knowledge/reconcile.py",
        "if home is None and owner is not None:",
        "if home is None and owner is None:",
        _STRAYS,
    ),
    Defect(
        "listed-session-is-started-again",
        "an account that is made for a session which is up starts it a second time",
        "homing/serve/api/directory/accounts.py",
        "if data.start and not runs(found.row):",
        "if data.start:",
        _ADOPTION,
    ),
    Defect(
        "orphan-changes-hands",
        "a workspace takes up the session of another one's deleted account, with its login",
        "homing/store/directory/naming.py",
        "where=free if any_owner else free & (former.is_(None) | (former == workspace)),",
        "where=free,",
        (*_ADOPTION, *_NAMING),
    ),
    Defect(
        "one-session-two-accounts",
        "an account that is made for a session takes it from the one that has it",
        "homing/store/directory/naming.py",
        "free = sessions.c.account_id.is_(None)",
        "free = sessions.c.session_id.is_not(None)",
        (*_ADOPTION, *_NAMING),
    ),
    Defect(
        "strangers-phone-sends",
        "messages go out through a session that somebody else's phone is linked to",
        "homing/flows/sending/send.py",
        "if route.mismatched_phone is not None:",
        "if route.mismatched_phone == '':",
        (*_STRAYS, *_ADOPTION),
    ),
    Defect(
        "any-instance-says-the-phone",
        "the phone that another instance reports for a session counts as its own",
        "homing/flows/discovery/phones.py",
        "if url == account.placement.instance_url:",
        "if url:",
        _STRAYS,
    ),
    Defect(
        "deleted-while-it-runs",
        "an account is deleted by its recorded status, whatever runs",
        "homing/flows/operations/deleting.py",
        "        if row.can_send and not force:",
        "        if account.status is SessionStatus.CONNECTED and row.can_send and not force:",
        _ADOPTION,
    ),
    Defect(
        "deleted-in-silence",
        "an account is deleted although its instance does not say what runs there",
        "homing/flows/operations/deleting.py",
        "if row.phase is Phase.SESSION_NOT_FOUND:",
        "if row.phase:",
        _ADOPTION,
    ),
    Defect(
        "unknown-for-ever",
        "a retry is told that the outcome is unknown after it was settled",
        "homing/decide/sending/idempotency.py",
        "if record is None or record.state not in _WENT:",
        "if record is None or record.state is not None:",
        _KEYED,
    ),
    Defect(
        "parameters-are-ignored",
        "a query parameter that no endpoint takes is ignored",
        "homing/serve/http/queries.py",
        "unknown = next((name for name in given if name not in taken), None)",
        "unknown = next((name for name in given if name in taken), None) and None",
        (tests("serve/test_queries.py"),),
    ),
    Defect(
        "connected-for-ever",
        "a session that nobody sees any more counts as connected",
        "homing/store/directory/instances.py",
        "known = seen_at >= bindparam(",
        "known = seen_at != bindparam(",
        (tests("contract/test_directory_accounts.py"),),
    ),
    Defect(
        "a-name-ends-at-its-slash",
        "a session with a slash in its name cannot be named in a path",
        "homing/serve/http/paths.py",
        "    if _WRITTEN.search(raw):\n",
        "    if not raw:\n",
        _NAMED,
    ),
    Defect(
        "a-session-is-no-name",
        "an account is named by its number and uuid alone, and not by the session that its owner knows",
        "homing/serve/api/context.py",
        "account = account or await directory.account(workspace, session_id=SessionId(ref))",
        "account = account or None",
        _NAMED,
    ),
)
