"""What a peer said of a message, without the message: some quote its text or its recipient in their errors.

Logs, records and answers show such words, and none of them is for people's letters.
"""

import re
from collections.abc import Iterable

BLOT = "***"
_PART = 8
"""So many characters in a row that are in the text are a quotation. Of a shorter text only the whole is one."""
_READ = 4_000
_LAST_DIGITS = 8
_FEWEST_DIGITS = 5
_SPACE = re.compile(r"\s+")
_MARK = "\0"


def without_echo(words: str, text: str, recipient: str) -> str:
    """The words with every quotation of the text blotted out, and the recipient's number however it is written."""
    words, text = _SPACE.sub(" ", words[:_READ]), _SPACE.sub(" ", text[:_READ]).strip()
    kept = list(words)
    for start, end in (*_quoted(_folded(words), _folded(text)), *_numbers(words, recipient)):
        kept[start:end] = _MARK * (end - start)
    return re.sub(f"{_MARK}+", BLOT, "".join(kept))


def _quoted(words: str, text: str) -> Iterable[tuple[int, int]]:
    if not text:
        return
    if len(text) < _PART:
        whole = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
        yield from (found.span() for found in whole.finditer(words))
        return
    parts = {text[at : at + _PART] for at in range(len(text) - _PART + 1)}
    yield from ((at, at + _PART) for at in range(len(words) - _PART + 1) if words[at : at + _PART] in parts)


def _numbers(words: str, recipient: str) -> Iterable[tuple[int, int]]:
    """Its last digits, however they are grouped, with those before them."""
    digits = re.sub(r"\D", "", recipient)[-_LAST_DIGITS:]
    if len(digits) >= _FEWEST_DIGITS:
        grouped = re.compile(r"\+?(?:\d[\s().-]?){0,10}" + r"[\s().-]?".join(digits))
        yield from (found.span() for found in grouped.finditer(words))


def _folded(text: str) -> str:
    """In lower case, each letter in its place."""
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
