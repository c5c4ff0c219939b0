"""Defects of what can be done for a session, and of what gateways of other families report."""

from tests.mutations.defect import Defect, tests

_ABILITIES = (tests("decide/test_abilities.py"),)
_READING = (tests("drivers/test_family_reports.py"),)
_INTAKE = (tests("serve/test_family_reports_api.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "words-beside-the-deed",
        "what is said of a restart is not what the judgment of doubtful sessions does",
        "homing/decide/moves/abilities.py",
        "    why = doubt.cannot_restart(held.account, held.can, held.instance.mode)\n",
        "    why = None\n",
        _ABILITIES,
    ),
    Defect(
        "a-signature-that-is-only-there",
        "a signature of WAHA is not compared with the body",
        "homing/drivers/reporting.py",
        "    return same(given.strip().lower(), *made)\n",
        "    return bool(given and made)\n",
        (*_READING, *_INTAKE),
    ),
    Defect(
        "any-path-is-the-right-one",
        "the secret in the address of a report is not compared",
        "homing/decide/fleet/own_keys.py",
        '    return hmac.compare_digest(given.encode("utf-8", "replace"), report_secret(secret, url).encode())\n',
        "    return True\n",
        _INTAKE,
    ),
    Defect(
        "one-secret-for-all",
        "the secret of one instance proves the reports of every other one",
        "homing/decide/fleet/own_keys.py",
        'f"report secret\\x00{url}"',
        '"report secret"',
        _INTAKE,
    ),
    Defect(
        "a-token-that-is-kept",
        "what a gateway says in words that nobody knows is kept with the tokens in it",
        "homing/drivers/reporting.py",
        'name: "left out" if str(name).lower().endswith(_SECRETS) else',
        'name: "left out" if str(name).endswith("?") else',
        _READING,
    ),
    Defect(
        "anybodys-token",
        "Evolution is believed whatever token its report shows",
        "homing/drivers/evolution/reports.py",
        "    if reporting.same(token, secrets.key, *(secrets.tokens or ())):\n",
        "    if token:\n",
        (*_READING, *_INTAKE),
    ),
    Defect(
        "two-spellings-two-messages",
        "the report of a message that was sent settles an earlier unknown one of the same words",
        "homing/flows/sending/own_messages.py",
        "(sign.session_id, bare_id(sign.message_id)) in self._ids",
        "(sign.session_id, sign.message_id) in self._ids",
        _INTAKE,
    ),
    Defect(
        "a-secret-in-the-log",
        "the secret in the address of a report that was refused is in the log",
        "homing/serve/http/paths.py",
        '    return _SECRET.sub(r"\\1…", path).replace',
        "    return path.replace",
        _INTAKE,
    ),
    Defect(
        "the-owners-webhook-is-lost",
        "where a session can report to one address alone, ours takes its place unasked",
        "homing/decide/reports/connecting.py",
        "    if not replace:\n",
        "    if not replace and not readable:\n",
        (tests("decide/test_connecting.py"), tests("serve/test_connecting_api.py")),
    ),
    Defect(
        "the-owners-list-is-ours",
        "WAHA is told our address in place of all that it reported to",
        "homing/drivers/waha/webhooks.py",
        "[*kept, *ours]",
        "[*ours]",
        (tests("serve/test_connecting_api.py"),),
    ),
    Defect(
        "a-fight-over-an-address",
        "an address that somebody else chose since is replaced again and again",
        "homing/flows/webhooks/connecting.py",
        "    return calls.several or not found.others or found.others == (before,)\n",
        "    return True\n",
        (tests("serve/test_connecting_api.py"),),
    ),
    Defect(
        "polled-to-death",
        "an instance whose list takes long is asked as often as one whose list takes nothing",
        "homing/decide/reports/polling.py",
        "    return min(max(took_s / policy.share, policy.least_s), policy.most_s)\n",
        "    return policy.least_s\n",
        (tests("decide/test_connecting.py"),),
    ),
    Defect(
        "a-list-for-a-text",
        "GOWA is told the events of a webhook as a list, which it refuses",
        "homing/drivers/gowa/webhooks.py",
        '",".join(_EVENTS)',
        "list(_EVENTS)",
        (tests("serve/test_connecting_api.py"),),
    ),
)
