"""Defects in what is believed of strangers, and in what they get to see."""

from tests.mutations.defect import Defect, tests

_ANSWERS = (tests("drivers/test_poisoned_answers.py"),)
_CLAIMS = (tests("decide/test_claims.py", "flows/test_false_claims.py"),)
_RECORD = (tests("contract/test_directory_placements.py"),)
_ADDRESSES = (tests("decide/test_where_instances_may_be.py", "drivers/test_dial.py"),)
_CODES = (tests("decide/test_codes.py"),)
_ECHO = (tests("flows/test_send.py"),)
_OWN_KEYS = (tests("serve/test_own_keys_api.py"),)
_FILES = (tests("contract/test_private_files.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "any-epoch-is-one",
        "an instance names an epoch that no database can hold, and it is read",
        "homing/drivers/values.py",
        "0 <= value <= EPOCH_MAX",
        "0 <= value",
        _ANSWERS,
    ),
    Defect(
        "one-value-fails-the-list",
        "one number that nobody can hold costs an instance's whole list",
        "homing/drivers/reading.py",
        "        return _patient.decode(body.decode())\n",
        "        return None\n",
        _ANSWERS,
    ),
    Defect(
        "any-claim-is-borne-out",
        "an instance says that it has a session under an epoch above the vault's, and is believed",
        "homing/decide/knowledge/claims.py",
        "    if row.epoch > word.epoch:\n",
        "    if row.epoch > word.epoch + 1_000_000:\n",
        _CLAIMS,
    ),
    Defect(
        "claims-write-the-record",
        "the record follows an instance's claim whatever the vault says",
        "homing/store/directory/placements.py",
        "or_(given.c.claimed == 0, not_(_refuted(given)))",
        "or_(given.c.claimed >= 0, not_(_refuted(given)))",
        _RECORD,
    ),
    Defect(
        "world-readable",
        "the database file may be read by everybody on the machine",
        "homing/store/sqlite/engine.py",
        "os.O_CLOEXEC, 0o600)",
        "os.O_CLOEXEC, 0o644)",
        _FILES,
    ),
    Defect(
        "metadata-is-an-instance",
        "a name that leads to a cloud's metadata is called like any other",
        "homing/drivers/http/resolving.py",
        "for each in (host, *addresses):",
        "for each in (host,):",
        _ADDRESSES,
    ),
    Defect(
        "mapped-address-passes",
        "a metadata address that is written as one of the other family is no such address",
        "homing/decide/fleet/addresses.py",
        "return address.ipv4_mapped or _translated(address) or address",
        "return address",
        _ADDRESSES,
    ),
    Defect(
        "codes-by-name-alone",
        "a code that links a phone is shown to read keys where a gateway calls it something else",
        "homing/decide/reports/codes.py",
        "        text = shape.sub(HIDDEN, text)\n",
        "        text = text\n",
        _CODES,
    ),
    Defect(
        "echo-in-the-log",
        "a gateway's error that quotes the message goes into the log as it is",
        "homing/flows/sending/send.py",
        "detail=without_echo(answer.detail, text.text, text.recipient_phone)",
        "detail=answer.detail",
        _ECHO,
    ),
    Defect(
        "shared-key-opens-all",
        "the key that instances share shows the phones of one that has a key of its own",
        "homing/serve/callers/instance_keys.py",
        "if own is not None and not (given and self._same(given, own)):",
        "if own is not None and not given:",
        _OWN_KEYS,
    ),
)
