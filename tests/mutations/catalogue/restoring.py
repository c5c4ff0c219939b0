"""Defects of starting what was lost: who may open a login again, and what has to be known first."""

from tests.mutations.defect import Defect, tests

_RULES = (tests("decide/test_restoring_rules.py"),)
_FLOWS = (tests("flows/test_shared_storage.py"),)
_HANDED = (tests("contract/test_handing_out.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "records-read-where-nothing-is-short",
        "every few seconds the records of all sessions are read again, though every list has as many",
        "homing/flows/failover/restoring.py",
        "    return not isinstance(look, Answered) or len(look.sessions) < load.sessions\n",
        "    return isinstance(look, Answered) or len(load.phones) >= 0\n",
        (tests("flows/test_restoring.py::test_records_are_read_where_a_list_is_short_and_nowhere_else"),),
    ),
    Defect(
        "living-process-began-anew",
        "a session that vanishes from a process that runs on is started again",
        "homing/decide/starting/restoring.py",
        "if look.uptime_s < seen_ago_s:",
        "if look.uptime_s < seen_ago_s + 1e9:",
        _RULES,
    ),
    Defect(
        "queue-not-waited-for",
        "a session is started while its process may be about to restore it",
        "homing/decide/starting/restoring.py",
        "left_s = policy.restore_s * offered.place - offered.ago_s",
        "left_s = policy.restore_s - offered.ago_s",
        _RULES,
    ),
    Defect(
        "silent-instance-does-not-block",
        "a session is started although an instance that could hold it gave no list",
        "homing/decide/starting/restoring.py",
        "silent = [look for look in looks.values() if isinstance(look, Silent) and not look.exited]",
        "silent = [look for look in looks.values() if isinstance(look, Silent) and look.exited]",
        _RULES,
    ),
    Defect(
        "unanswered-start-repeated",
        "a start without an answer is repeated while it may still come about",
        "homing/decide/starting/restoring.py",
        "if not first and ago_s is not None and ago_s < policy.unanswered_s",
        "if not first and ago_s is not None and ago_s < 0.0",
        _RULES,
    ),
    Defect(
        "exit-believed-of-a-process-that-asks",
        "an instance counts as gone although it has just asked for its sessions",
        "homing/store/grants/exiting.py",
        "if asked and now - max(asked) < timedelta(seconds=quiet_s):",
        "if asked and now - max(asked) < timedelta(seconds=-quiet_s):",
        _FLOWS,
    ),
    Defect(
        "other-storage-takes-over",
        "a session is opened on an instance that cannot read its login",
        "homing/flows/moves/opening.py",
        "if load.instance.storage == home.storage\n        and load",
        "if load",
        _FLOWS,
    ),
    Defect(
        "other-family-takes-over",
        "a session is opened by another family's gateway, which shares its disk and cannot read its login",
        "homing/flows/moves/opening.py",
        "        and load.instance.driver == home.driver\n",
        "",
        _FLOWS,
    ),
    Defect(
        "hand-out-forgets-the-place",
        "every session that is handed out counts as the first of its queue",
        "homing/store/grants/handing_out.py",
        "offered_place=given.c.place,",
        "offered_place=1,",
        _HANDED,
    ),
    Defect(
        "start-by-the-note-alone",
        "a session that is open, and that the service has no note of, is started a second time",
        "homing/drivers/webjs/driver.py",
        "held = await self._listed(instance, session.session_id, until)\n",
        "pass\n",
        (tests("drivers/test_webjs_on_the_node_service.py"),),
    ),
    Defect(
        "start-that-came-up-waited-for",
        "a session whose start came up long since is not started again after its process died",
        "homing/decide/starting/restoring.py",
        " or _seen_since(session, ago_s):",
        ":",
        _RULES,
    ),
)
