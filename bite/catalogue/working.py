"""Defects of durable work and of what is taken in."""

from bite.defect import Defect, tests

_WORK = (tests("contract/test_work.py"), tests("flows/test_worker.py"))
_EVENTS = (tests("contract/test_events.py"), tests("serve/test_intake_api.py"))

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "work-without-a-fence",
        "a gateway that lost a job settles it all the same",
        "homing/store/jobs.py",
        "return jobs.c.id == given.c.id, jobs.c.fence == given.c.fence, jobs.c.state == JobState.RUNNING",
        "return jobs.c.id == given.c.id, jobs.c.state == JobState.RUNNING",
        _WORK,
    ),
    Defect(
        "fence-stays",
        "a job that is claimed again has the fence that it had",
        "homing/store/jobs.py",
        '"fence": jobs.c.fence + 1,',
        '"fence": jobs.c.fence,',
        _WORK,
    ),
    Defect(
        "two-heads-of-a-key",
        "a second job of a key begins before the first one is done",
        "homing/store/jobs.py",
        "present.scalar_subquery().is_(None))",
        "present.scalar_subquery().is_not_distinct_from(present.scalar_subquery()))",
        _WORK,
    ),
    Defect(
        "renewal-in-several-steps",
        "a renewal holds its row from one round trip to the next",
        "homing/store/leases.py",
        "return await self._database.write_at_once(lambda c: _renew_at_once(c, renewal, named=named))",
        "return await self._database.write(lambda c: _renew(c, self._database, holder, expiry_s, answered_ago_s))",
        (tests("contract/test_leases.py"),),
    ),
    Defect(
        "trusts-its-lease-for-ever",
        "a worker goes on with a job whose lease it could not renew",
        "homing/flows/worker.py",
        "elif now_s >= each.trusted_until_s:",
        "elif now_s >= each.trusted_until_s + 1e9:",
        (tests("flows/test_worker.py"),),
    ),
    Defect(
        "event-stored-twice",
        "a report that comes again is another event",
        "homing/store/events.py",
        "    if known.same is not None and known.until > given.at:\n",
        "    if known.same is not None and known.until is None:\n",
        _EVENTS,
    ),
    Defect(
        "signature-replayed",
        "the same signed request is taken a second time",
        "homing/store/events.py",
        "    if known.brought is not None:\n",
        "    if known.brought is not None and given.signed is None:\n",
        _EVENTS,
    ),
    Defect(
        "hint-lost-with-the-store",
        "what a hint told is forgotten when the store is away",
        "homing/flows/hints.py",
        "            rounds.create_task(self._again(wanted, STORE_PAUSE_S))\n",
        "",
        (tests("flows/test_hints.py"),),
    ),
    Defect(
        "repeated-report-not-followed",
        "a report that was stored by a gateway that died is followed by nobody",
        "homing/flows/intake.py",
        "            return report.sender_id is not None\n",
        "            return False\n",
        (tests("serve/test_intake_api.py"),),
    ),
    Defect(
        "anybody-may-report",
        "a report with a wrong signature is believed",
        "homing/decide/signing.py",
        "if not hmac.compare_digest(expected.encode(), given.strip().lower().encode()):",
        "if not given.strip():",
        (tests("decide/test_signing.py"),),
    ),
    Defect(
        "old-signatures-are-fresh",
        "a report that was signed long ago is believed",
        "homing/decide/signing.py",
        "if abs(skew_s) > WINDOW_S:",
        "if skew_s < -WINDOW_S:",
        (tests("decide/test_signing.py"),),
    ),
    Defect(
        "unknown-settled-by-another",
        "a message to somebody else settles an unknown send",
        "homing/decide/settling.py",
        "return record.text == sign.text and record.recipient_phone == sign.recipient_phone",
        "return record.text == sign.text",
        (tests("decide/test_settling.py"),),
    ),
)
