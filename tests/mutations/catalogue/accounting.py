"""Defects of accountability: who changed what, until when a key opens, and how often it may ask."""

from tests.mutations.defect import Defect, tests

_AUDIT = (tests("contract/test_audit.py"),)
_AUDIT_API = (tests("serve/test_audit_api.py"),)
_KEYS = (tests("serve/test_keys_api.py"),)
_RATES = (tests("serve/test_rate_limits_api.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "a-change-without-its-entry",
        "an account is deleted and the audit log says nothing of it",
        "homing/store/directory/accounts.py",
        '        record(connection, "account.deleted", subject(account), before=told(account))\n',
        "        pass\n",
        _AUDIT,
    ),
    Defect(
        "an-entry-outside-of-its-change",
        "the act does not travel with the write: in the thread that writes, nobody knows whose change it is",
        "homing/store/sqlite/engine.py",
        "self._writer.write(by_its_act(fn))",
        "self._writer.write(fn)",
        _AUDIT,
    ),
    Defect(
        "an-act-that-outlives-its-request",
        "what a gateway does after a request is that request's act",
        "homing/model/directory/audit.py",
        "        acting.reset(before)\n",
        "        pass\n",
        _AUDIT_API,
    ),
    Defect(
        "phones-in-the-audit-log",
        "the audit log keeps phones whole",
        "homing/decide/access/audit.py",
        "    if _PHONE.search(name):\n",
        "    if name == _PHONE.pattern:\n",
        (tests("decide/test_audit_log.py", "contract/test_audit.py"),),
    ),
    Defect(
        "a-broken-chain-holds",
        "an entry that was changed is not noticed",
        "homing/decide/access/audit.py",
        "        elif link(self._previous, entry, key) != chain:\n",
        "        elif not chain:\n",
        _AUDIT,
    ),
    Defect(
        "a-chain-without-an-end",
        "entries can be cut off the end of the log",
        "homing/decide/access/audit.py",
        "        if self._head is not None:\n            if",
        "        if self._head is not None and not self._entries:\n            if",
        _AUDIT,
    ),
    Defect(
        "a-chain-heals-itself",
        "after its end was cut off with the signed head, the chain goes on as if nothing was",
        "homing/store/records/audit.py",
        "    if wrong is not None:\n        return wrong\n",
        "    if wrong is not None and head is not None:\n        return wrong\n",
        _AUDIT,
    ),
    Defect(
        "retention-without-a-word",
        "what retention removed is not told, so that the rest of the log looks broken",
        "homing/store/records/audit.py",
        "    _leave(connection, signed(Mark.START, last.id, last.chain, removed, now, keys.newest))\n",
        "",
        _AUDIT,
    ),
    Defect(
        "a-late-commit-is-passed-over",
        "on PostgreSQL the chain does not wait for those whose entries have a number and are not committed",
        "homing/store/records/audit.py",
        '        connection.execute(text("LOCK TABLE audit_log IN SHARE ROW EXCLUSIVE MODE"))\n',
        "",
        _AUDIT,
    ),
    Defect(
        "a-key-without-an-end",
        "a key opens after it has expired",
        "homing/model/directory/access.py",
        "self.expires_at <= now",
        "self.expires_at is now",
        _KEYS,
    ),
    Defect(
        "an-overlap-without-an-end",
        "the secret from before a rotation opens for ever",
        "homing/serve/callers/keyring.py",
        " or now >= key.previous_until:",
        ":",
        _KEYS,
    ),
    Defect(
        "limits-that-limit-nobody",
        "whoever is over the limit is answered all the same",
        "homing/decide/access/rates.py",
        "    if used_up:\n",
        "    if used_up and not standing:\n",
        (tests("decide/test_rates.py", "serve/test_rate_limits_api.py"),),
    ),
    Defect(
        "sends-fall-under-no-limit",
        "the send route takes no notice of limits",
        "homing/serve/sends.py",
        "        if charged.problem is not None:\n            answer",
        "        if charged.problem is not None and not raw:\n            answer",
        _RATES,
    ),
    Defect(
        "a-limit-charged-twice",
        "a request that passes two guards is charged twice",
        "homing/serve/api/context.py",
        "    if CHARGED in scope:\n",
        "    if CHARGED not in scope and CHARGED in scope:\n",
        _RATES,
    ),
)
