"""Paths as they are routed, and as logs may show them.

A name in a path may have a slash, as sessions have that were adopted from two gateways with the same names
(`waha-1/default`). Written `%2F` it is one part of the path; the framework, which routes by slashes, would take it for
two.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

_SLASH = "\ufdd0"
"""What stands for the slash of a name while the path is routed: a code point that no text has."""
_UNREADABLE = "\ufffd"
_WRITTEN = re.compile(rb"%2f", re.IGNORECASE)
_SECRET = re.compile(r"(/in/[^/]*/secret/)[^/]+")


def whole_names(scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """The scope of a request with each name in its path as one part, to be read by `names_in`."""
    raw, path = scope.get("raw_path") or b"", scope["path"].replace(_SLASH, _UNREADABLE)
    if _WRITTEN.search(raw):
        parts = (unquote(part).replace(_SLASH, _UNREADABLE) for part in raw.decode("latin-1").split("/"))
        path = "/".join(part.replace("/", _SLASH) for part in parts)
    return scope if path == scope["path"] else {**scope, "path": path}


def names_in(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a path that `whole_names` made, as they were written."""
    return {name: value.replace(_SLASH, "/") if isinstance(value, str) else value for name, value in params.items()}


def shown_path(path: str) -> str:
    """The path without the secret in it: some hold one of an instance, or one that somebody guessed."""
    return _SECRET.sub(r"\1…", path).replace(_SLASH, "%2F")
