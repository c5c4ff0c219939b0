"""Defects of numbers: who is meant by what was written, and who is the same person."""

from tests.mutations.defect import Defect, tests

_READING = (tests("decide/test_reading_phones.py"),)
_SETTLING = (tests("decide/test_settling.py"),)
_API = (tests("serve/test_workspaces_api.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "repaired-number-is-sent-to",
        "a number counts as read although the library changed its digits",
        "homing/decide/phones/numbering.py",
        'if number is None or phonenumbers.format_number(number, PhoneNumberFormat.E164) != f"+{newest}":',
        "if number is None:",
        _READING,
    ),
    Defect(
        "number-without-its-area-code",
        "a number that is complete only within its town is sent to",
        "homing/decide/phones/numbering.py",
        "if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:",
        "if not phonenumbers.is_possible_number(number):",
        _READING,
    ),
    Defect(
        "first-reading-wins",
        "of two numbers that digits may be, the first is sent to",
        "homing/decide/phones/reading.py",
        "        case [one]:",
        "        case [one, *_]:",
        _READING,
    ),
    Defect(
        "possible-abroad-beats-valid-at-home",
        "digits that name no country are taken for another country's although no such number exists there",
        "homing/decide/phones/reading.py",
        "    if abroad is not None and abroad.valid:\n        usual_abroad =",
        "    if abroad is not None:\n        own = True\n        usual_abroad =",
        _READING,
    ),
    Defect(
        "decimal-point-is-passed-over",
        "the fraction that a spreadsheet wrote becomes digits of the number",
        "homing/decide/phones/writing.py",
        'if "." in text and not _dots_separate(text):',
        'if ".." in text:',
        _READING,
    ),
    Defect(
        "old-form-is-no-alias",
        "a Mexican number with its old 1 is another person's",
        "homing/decide/phones/aliases.py",
        "    if match := _MEXICO.fullmatch(digits):\n",
        "    if match := _MEXICO.fullmatch(digits + '0'):\n",
        (*_READING, *_SETTLING),
    ),
    Defect(
        "landline-is-an-old-mobile",
        "a Brazilian landline is the same person as somebody's mobile phone",
        "homing/decide/phones/aliases.py",
        r'_BRAZIL = re.compile(r"55([1-9]\d)([6-9]\d{7})")',
        r'_BRAZIL = re.compile(r"55([1-9]\d)([2-9]\d{7})")',
        _READING,
    ),
    Defect(
        "another-spelling-another-account",
        "whose an account's phone is goes unnoted, so that one phone can be two accounts",
        "homing/flows/operations/accounts.py",
        "person=person(number.digits),",
        "person=None,",
        _API,
    ),
    Defect(
        "hidden-number-settles-any",
        "a report without a number settles one of several sends that it may be of",
        "homing/decide/reports/settling.py",
        "if len(said) == 1 else None",
        "if said else None",
        _SETTLING,
    ),
    Defect(
        "hidden-report-of-a-send-under-way",
        "a report without a number is taken for an earlier send's while the same words are on their way",
        "homing/flows/sending/own_messages.py",
        "whose = _ANYBODY if sign.recipient_hidden else",
        'whose = "?" if sign.recipient_hidden else',
        (tests("flows/test_said.py"),),
    ),
    Defect(
        "one-region-for-all",
        "numbers of every workspace are read in the region of the settings",
        "homing/serve/callers/workspaces.py",
        "self._known = _settings(workspaces, self.default_region)",
        "_settings(workspaces, self.default_region)",
        _API,
    ),
    Defect(
        "foreign-workspace-is-shown",
        "a key sees and sets another workspace than its own",
        "homing/serve/api/directory/workspaces.py",
        "if found is None or caller.names_another(number):",
        "if found is None:",
        _API,
    ),
    Defect(
        "what-was-written-is-forgotten",
        "the record of a message does not keep what the caller wrote",
        "homing/flows/sending/send_records.py",
        "phone_as_written=text.phone_as_written,",
        "phone_as_written=None,",
        _API,
    ),
)
