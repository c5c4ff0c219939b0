"""Which methods does an address take? All of them are named to whoever asks (OPTIONS).

The framework answers that question for each endpoint by itself, and so names one method where there are several.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from litestar import Litestar
from litestar.routes import HTTPRoute


def methods_by_path(app: Litestar) -> Mapping[str, bytes]:
    """By the path's form, the value of its `Allow`."""
    known: dict[str, set[str]] = defaultdict(set)
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            known[route.path_format] |= route.methods
    return {path: ", ".join(sorted(methods)).encode() for path, methods in known.items()}


async def name_all_methods(message: Any, scope: Any) -> None:
    """Complete the `Allow` of an answer to OPTIONS, before it is sent."""
    if message["type"] != "http.response.start" or scope.get("method") != "OPTIONS":
        return
    allowed = scope["app"].state.methods.get(scope.get("path_template"))
    if allowed is not None:
        message["headers"] = [each for each in message["headers"] if each[0].lower() != b"allow"]
        message["headers"].append((b"allow", allowed))
