"""How much of what a peer or the network said may be shown: short, on one line, without our secrets."""

import html
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

SHOWN_CHARACTERS = 200
_READ_CHARACTERS = 2_000
_NUMBER_SHOWN_BELOW = 10**30
_UNSHOWABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_KEY_IN_TEXT = re.compile(r"(?i)((?:api[_-]?key|token|secret)[\"']?\s*[=:]\s*[\"']?)[^\s&\"'<>,;}]+")


def shown(text: str, secrets: Iterable[str] = ()) -> str:
    """The text fit for a log line: secrets blotted out, control characters gone, at most 200 characters."""
    text = text[:_READ_CHARACTERS]
    for secret in secrets:
        text = _without(text, secret)
    text = _KEY_IN_TEXT.sub(r"\1***", text)
    text = _UNSHOWABLE.sub(" ", text).strip()
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def words_of(said: object, secrets: Iterable[str] = ()) -> str:
    """The same of a value that should have been a text: of lists and objects, which may be deep, only the kind."""
    match said:
        case None:
            return ""
        case str():
            return shown(said, secrets)
        case int() if abs(said) >= _NUMBER_SHOWN_BELOW:
            return "a number of many digits"
        case int() | float():
            return str(said)
        case _:
            return "an object" if isinstance(said, dict) else "a list"


def _without(text: str, secret: str) -> str:
    spellings = {secret, quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    for spelling in sorted(filter(None, spellings), key=len, reverse=True):
        text = text.replace(spelling, "***")
    return text
