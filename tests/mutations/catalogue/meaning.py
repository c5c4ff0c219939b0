"""Defects of reading gateways: what their answers and reports mean, and what a person is told."""

from tests.mutations.defect import Defect, tests

_ANSWERS = (tests("drivers/test_webjs_answers.py", "drivers/test_transcripts.py"),)
_OCCURRENCES = (tests("decide/test_occurrences.py", "decide/test_report_meanings.py"),)
_DOUBTS = (tests("flows/test_doubtful_sessions.py", "decide/test_doubt.py"),)
_STANDING = (tests("flows/test_standing_conditions.py", "flows/test_alert_book.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "redirect-may-have-left",
        "a send that was answered with a redirect counts as one that may have been sent",
        "homing/drivers/reading.py",
        "return 300 <= status < 400 or status in _PROXY_STATUSES",
        "return status in _PROXY_STATUSES",
        (*_ANSWERS, tests("drivers/test_webjs_answers.py")),
    ),
    Defect(
        "page-is-the-messages-fault",
        "a proxy's page in place of the gateway's 400 is told to the caller as a fault of his message",
        "homing/drivers/webjs/answers.py",
        "return _refused_phase(told, words) if told else Phase.MISDIRECTED",
        "return _refused_phase(told, words)",
        _ANSWERS,
    ),
    Defect(
        "hopeless-recipient-is-unknown",
        "a recipient that WhatsApp does not know is an unknown outcome, to be settled by nobody",
        "homing/drivers/libraries/whatsapp_web.py",
        '    "no lid for user",\n',
        "",
        _ANSWERS,
    ),
    Defect(
        "sent-without-an-id",
        "a success without a message id is taken for sent",
        "homing/drivers/webjs/answers.py",
        "if message_id is None or not message_id.strip():",
        "if message_id is None:",
        _ANSWERS,
    ),
    Defect(
        "every-reaction-is-the-first",
        "reactions, edits and votes of one message are told apart by the message alone",
        "homing/decide/reports/meanings.py",
        "kind in _ONCE | _PROGRESS:",
        'kind.startswith("message_"):',
        _OCCURRENCES,
    ),
    Defect(
        "undone-and-done-again-is-lost",
        "a reaction that was removed and given again is taken for a retry of the first",
        "homing/decide/reports/meanings.py",
        'about if is_of_something else ""',
        '""',
        _OCCURRENCES,
    ),
    Defect(
        "once-is-told-by-all-that-is-said",
        "a message that is reported again with another status arrives a second time",
        "homing/decide/reports/meanings.py",
        "told = _timeless(report.data) if kind in _PROGRESS else None",
        "told = _timeless(report.data)",
        _OCCURRENCES,
    ),
    Defect(
        "older-code-becomes-the-newest",
        "the retry of an earlier pairing code is taken for a new one",
        "homing/decide/reports/meanings.py",
        "    if report.kind == QR_CODE:  # no code comes",
        '    if report.kind == "":  # no code comes',
        (tests("decide/test_occurrences.py"),),
    ),
    Defect(
        "slow-files-make-doubtful",
        "sessions are restarted for large files that take their time, which breaks off the others on their way",
        "homing/decide/knowledge/doubt.py",
        "            return not with_file\n",
        "            return True\n",
        _DOUBTS,
    ),
    Defect(
        "sends-with-files-look-like-all-others",
        "whether a failed send had a file is told to nobody",
        "homing/flows/sending/send.py",
        "        with_file = isinstance(text.content, MediaContent)\n",
        "        with_file = False\n",
        _DOUBTS,
    ),
    Defect(
        "refused-connections-make-doubtful",
        "an instance that is down makes its sessions doubtful",
        "homing/decide/knowledge/doubt.py",
        "        case Phase.NAME_NOT_RESOLVED | Phase.REFUSED | Phase.CONNECT_TIMED_OUT | Phase.CONNECT_BROKEN:\n"
        "            return False\n",
        "        case Phase.NAME_NOT_RESOLVED | Phase.REFUSED | Phase.CONNECT_TIMED_OUT | Phase.CONNECT_BROKEN:\n"
        "            return True\n",
        _DOUBTS,
    ),
    Defect(
        "observed-instance-is-told-to-restart",
        "a doubtful session is restarted on an instance that is only looked at",
        "homing/decide/knowledge/doubt.py",
        "if mode is InstanceMode.OBSERVE:",
        "if mode is None:",
        (tests("decide/test_doubt.py"),),
    ),
    Defect(
        "restarts-without-end",
        "a doubtful session is restarted each time, whoever did so just before",
        "homing/store/directory/linking.py",
        '        .where(sessions.c.session_id == bindparam("session"), is_due)\n        .values(doubt_restart_at=',
        '        .where(sessions.c.session_id == bindparam("session"))\n        .values(doubt_restart_at=',
        _DOUBTS,
    ),
    Defect(
        "success-does-not-clear",
        "a session stays doubtful although messages go through it",
        "homing/flows/failover/doubtful_sessions.py",
        "        if self._alerts.any_stands and not self.is_judged_so(session):",
        "        if self.is_judged_so(session):",
        _DOUBTS,
    ),
    Defect(
        "unread-list-ends-the-alert",
        "an alert about two holders is resolved although a list could not be read",
        "homing/flows/discovery/rediscover.py",
        "elif all(isinstance(listing, SessionList) for listing in observed.listings.values()):",
        "else:",
        _STANDING,
    ),
    Defect(
        "dry-run-resolves",
        "a sync that only says what it would do resolves alerts",
        "homing/flows/discovery/sync.py",
        "        if not dry_run:\n            await self._note_alerts(",
        "        if dry_run is not None:\n            await self._note_alerts(",
        _STANDING,
    ),
    Defect(
        "faults-by-any-key",
        "an instance can be made to misbehave by whoever has its key, without --fault-injection",
        "homing/instance/run.py",
        "surface.faults = Faults() if settings.fault_injection else None",
        "surface.faults = Faults()",
        (tests("instance/test_instance_http.py"),),
    ),
)
