"""Which query parameters each endpoint of the API takes, by its own signature; any other one is refused.

A parameter that is ignored answers another question than the one that was asked: `?workspace=2` would list everything.
So does one that is read as what it does not say: `?force=yes` is neither `true` nor `false`, and of two, only one
would count.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, get_args, get_origin

from litestar import Litestar, Request
from litestar.routes import HTTPRoute

from homing.model.errors import Code, Problem

Taken = Mapping[str, "_Spelling | None"]
"""By name, how a value is spelt that means one thing only; None for free text."""


@dataclass(frozen=True, slots=True)
class _Spelling:
    pattern: re.Pattern[str]
    named: str


_SPELLINGS = {
    int: _Spelling(re.compile(r"-?(0|[1-9][0-9]*)"), "a whole number"),
    bool: _Spelling(re.compile("true|false"), "true or false"),
}
_WORD = _Spelling(re.compile("(?!null$).*", re.IGNORECASE | re.DOTALL), "one of its words, or left out")


def known_queries(app: Litestar) -> dict[Any, Taken]:
    """The parameters that each endpoint takes, those of its dependencies among them."""
    known: dict[Any, Taken] = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                told = handler.parsed_fn_signature.parameters
                known[handler] = {
                    each.field_alias: _spelling(told[each.field_name].annotation if each.field_name in told else str)
                    for each in model.expected_query_params
                }
    return known


async def refuse_unknown(request: Request[Any, Any, Any]) -> None:
    """Raises Problem for a parameter that the endpoint does not take, or that cannot be read in one way only."""
    known: Mapping[Any, Taken] = request.app.state.known_queries
    taken = known.get(request.route_handler, {})
    refuse(request.query_params.keys(), taken)
    _refuse_misspelt(request.query_params.multi_items(), taken)


def refuse(given: Iterable[str], taken: Collection[str]) -> None:
    """Raises Problem for the first name given that is not among those taken, naming it and those."""
    unknown = next((name for name in given if name not in taken), None)
    if unknown is not None:
        takes = f"it takes {', '.join(sorted(taken))}" if taken else "it takes none"
        detail = f"There is no query parameter {unknown[:100]!r} here; {takes}"
        raise Problem(Code.INVALID_REQUEST, detail, field=unknown[:100])


def _refuse_misspelt(given: Iterable[tuple[str, str]], taken: Taken) -> None:
    seen: set[str] = set()
    for name, value in given:
        if name in seen:
            raise Problem(Code.INVALID_REQUEST, f"The query names {name} more than once", field=name)
        seen.add(name)
        spelling = taken[name]
        if spelling is not None and spelling.pattern.fullmatch(value) is None:
            detail = f"The query parameter {name} must be {spelling.named}, not {value[:100]!r}"
            raise Problem(Code.INVALID_REQUEST, detail, field=name)


def _spelling(annotation: Any) -> _Spelling | None:
    """How values of this type are spelt. What is not there is left out: no type's value is `null`."""
    kinds = get_args(annotation) if get_origin(annotation) is UnionType else (annotation,)
    if str in kinds:
        return None
    return next((spelling for kind, spelling in _SPELLINGS.items() if kind in kinds), _WORD)
