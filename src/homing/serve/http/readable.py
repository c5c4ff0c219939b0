"""Can this body be read at all, and in one way only? What it then means is the business of whoever asked for it.

UTF-8, JSON, no name twice in an object, no number beyond what a float holds, no more depth than any honest request has.
Two readers of a body that fails here could read it differently. And what it says is taken as it is said: a text is not
made a number of, and `1` or `"yes"` are no booleans.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import isinf
from typing import Any, TypeVar

import msgspec
from litestar import Request

from homing.model.errors import Code, Problem
from homing.serve.http import problems
from homing.serve.http.paths import names_in

T = TypeVar("T")


def check(raw: bytes) -> None:
    """Raises Problem, with what is wrong, for a body that is not one readable JSON value."""
    try:
        said = _reader.decode(raw.decode())
        if b"\\u" in raw:
            json.dumps(said, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise unreadable("it is not UTF-8") from error
    except UnicodeEncodeError as error:
        raise unreadable("it has half a character, which no text has") from error
    except RecursionError as error:
        raise unreadable("it is nested too deeply") from error
    except ValueError as error:
        raise unreadable(str(error)) from error


def read(raw: bytes, decode: Callable[[bytes], T]) -> T:
    """The body as `decode` makes it of JSON. Raises Problem, naming the field that is not as it should be."""
    check(raw)
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        raise problems.invalid(error) from error
    except msgspec.DecodeError as error:
        raise unreadable(str(error)) from error


def unreadable(why: str) -> Problem:
    return Problem(Code.MALFORMED_BODY, f"The body cannot be read as JSON: {why}")


class CheckedRequest(Request[Any, Any, Any]):
    """A request whose JSON body is read strictly: the framework by itself converts what is nearly right. Its path may
    name what has a slash in its name."""

    @property
    def path_params(self) -> dict[str, Any]:
        return names_in(super().path_params)

    async def json(self) -> Any:
        raw = await self.body()
        wanted = self.route_handler.parsed_data_field
        return read(raw, _decoder(wanted.annotation if wanted is not None else Any).decode)


@lru_cache
def _decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it names {twice[:100]!r} twice")
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise ValueError("it has a number that is too large")
    return number


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


_reader = json.JSONDecoder(object_pairs_hook=_once, parse_float=_finite, parse_constant=_no_number)
