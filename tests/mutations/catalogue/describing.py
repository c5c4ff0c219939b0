"""Defects of what the API says of itself, of how strictly it reads, and of who waits while it does."""

from tests.mutations.defect import Defect, tests

_DESCRIBED = (tests("serve/test_openapi.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "unknown-field-passed-over",
        "a field that nobody knows is passed over instead of refused",
        "homing/serve/api/directory/contacts.py",
        "class ContactBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):",
        "class ContactBody(msgspec.Struct, frozen=True):",
        _DESCRIBED,
    ),
    Defect(
        "boolean-made-of-a-text",
        "what is nearly right in a body is converted",
        "homing/serve/http/readable.py",
        "msgspec.json.Decoder(wanted)",
        "msgspec.json.Decoder(wanted, strict=False)",
        _DESCRIBED,
    ),
    Defect(
        "boolean-in-a-query-by-any-word",
        "a flag in a query is set by what means neither true nor false",
        "homing/serve/http/queries.py",
        're.compile("true|false")',
        're.compile(".*")',
        _DESCRIBED,
    ),
    Defect(
        "status-that-nobody-was-told-of",
        "the description leaves out that a key may do too little",
        "homing/serve/http/described.py",
        "yield from (401, 403, 429)",
        "yield from (401, 429)",
        _DESCRIBED,
    ),
    Defect(
        "method-refused-without-a-word",
        "who uses a wrong method is not told the right ones",
        "homing/serve/app.py",
        '{"Allow": allow} if allow is not None else {}',
        '{"Allow": allow} if allow == "" else {}',
        _DESCRIBED,
    ),
    Defect(
        "half-a-character-is-read",
        "a body with half a character in it is called readable, and fails whoever reads it",
        "homing/serve/http/readable.py",
        '        if b"\\\\u" in raw:\n',
        '        if b"\\\\v" in raw:\n',
        (tests("serve/test_unreadable_bodies.py"),),
    ),
    Defect(
        "slice-without-an-end",
        "what takes long lets nobody else have a turn",
        "homing/ports/aside.py",
        "        if self._done >= self._of:\n",
        "        if self._done < 0:\n",
        (tests("flows/test_slices.py"),),
    ),
    Defect(
        "everybody-waits-for-a-big-report",
        "a report of any size is read on the loop",
        "homing/serve/intake.py",
        "return await self._aside(work) if len(raw) > BIG else work()",
        "return work()",
        (tests("serve/test_big_reports.py"),),
    ),
)
