"""The dictionary of words, read from a client that is installed: it is theirs, and not kept here."""

import ast
from pathlib import Path

from simulated_whatsapp.multidevice.wire.codec import Dictionary

INSIDE_PACKAGE = Path("lib/WABinary/constants.js")
_SINGLE, _DOUBLE = "SINGLE_BYTE_TOKENS", "DOUBLE_BYTE_TOKENS"


class NoDictionary(ValueError):
    """There are no words where they were said to be."""


def read_dictionary(path: Path) -> Dictionary:
    """The words of an installed Baileys 7: its folder, or the file in it. Raises ``NoDictionary``."""
    file = path / INSIDE_PACKAGE if path.is_dir() else path
    try:
        source = file.read_text()
    except OSError as problem:
        raise NoDictionary(f"{file} cannot be read: {problem.strerror}") from problem
    single, double = _array(source, _SINGLE, file), _array(source, _DOUBLE, file)
    return Dictionary(tuple(map(str, single)), tuple(tuple(map(str, page)) for page in double))


def _array(source: str, name: str, file: Path) -> list[list[str]]:
    """A constant array of texts, which is written the same way in JavaScript and in Python."""
    _, found, rest = source.partition(f"{name} = ")
    array, end, _ = rest.partition("];")
    if not found or not end:
        raise NoDictionary(f"{file} holds no {name}")
    try:
        value = ast.literal_eval(array + "]")
    except (ValueError, SyntaxError) as wrong:
        raise NoDictionary(f"{file} holds a {name} that cannot be read") from wrong
    return list(value)
