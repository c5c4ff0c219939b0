"""Which query parameters each endpoint of the API takes, by its own signature; any other one is refused.

A parameter that is ignored answers another question than the one that was asked: `?workspace=2` would list everything.
"""

from typing import Any

from litestar import Litestar, Request
from litestar.routes import HTTPRoute

from homing.model.errors import Code, Problem

Known = dict[Any, frozenset[str]]
"""By endpoint, the names it takes."""


def known_queries(app: Litestar) -> Known:
    """The names that each endpoint takes, those of its dependencies among them."""
    known: Known = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                names = frozenset(parameter.field_alias for parameter in model.expected_query_params)
                known[handler] = known.get(handler, frozenset()) | names
    return known


async def refuse_unknown(request: Request[Any, Any, Any]) -> None:
    """Raises Problem for a parameter that the endpoint does not take, naming it and those it does."""
    known: Known = request.app.state.known_queries
    taken = known.get(request.route_handler, frozenset())
    refuse(request.query_params.keys(), taken)


def refuse(given: Any, taken: frozenset[str]) -> None:
    """Raises Problem for the first name given that is not among those taken."""
    unknown = next((name for name in given if name not in taken), None)
    if unknown is not None:
        takes = f"it takes {', '.join(sorted(taken))}" if taken else "it takes none"
        detail = f"There is no query parameter {unknown[:100]!r} here; {takes}"
        raise Problem(Code.INVALID_REQUEST, detail, field=unknown[:100])
