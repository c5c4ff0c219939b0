"""Single values in what a gateway answers, each within its bounds: what lies outside them was not said.

Nothing is repaired: a number too large, a text too long or with a control character in it is taken for none.
"""

from datetime import datetime

from homing.model.fleet import EPOCH_MAX, Epoch

NAME_MAX = 200
"""Ids of sessions and messages: no gateway makes longer ones."""
PHONE_MAX = 64
CODE_MAX = 1_000_000
"""A code to scan may come as a picture."""
LARGEST = 2**53
"""Beyond, not every reader of JSON has the same number."""


def is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def epoch_in(value: object) -> Epoch | None:
    """An epoch that a session can be at."""
    return Epoch(value) if isinstance(value, int) and is_int(value) and 0 <= value <= EPOCH_MAX else None


def text_in(value: object, longest: int) -> str | None:
    """A text of one line that a database can hold, and a log line show."""
    fits = isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()
    return str(value) if fits else None


def phone_in(value: object) -> str | None:
    """A phone, which some write as a number."""
    if isinstance(value, int) and is_int(value):
        value = str(value) if 0 < value < LARGEST else None
    return text_in(value, PHONE_MAX)


def count_in(value: object) -> int | None:
    measured = measure_in(value)
    return None if measured is None else int(measured)


def measure_in(value: object) -> float | None:
    """A quantity of anything; NaN and the infinities are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < LARGEST else None


def moment_in(value: object) -> datetime | None:
    """A moment in ISO 8601 that says its time zone."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= PHONE_MAX else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
