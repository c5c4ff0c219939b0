"""Defects in what is believed of strangers, and in what they get to see."""

from bite.defect import Defect, tests

_ANSWERS = (tests("drivers/test_poisoned_answers.py"),)
_CLAIMS = (tests("decide/test_claims.py", "flows/test_false_claims.py"),)
_RECORD = (tests("contract/test_directory_placements.py"),)
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
        "homing/decide/claims.py",
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
        "homing/store/private_files.py",
        "os.O_CLOEXEC, 0o600)",
        "os.O_CLOEXEC, 0o644)",
        _FILES,
    ),
)
