"""Paths as logs may show them: some hold a secret of an instance, or one that somebody guessed."""

import re

_SECRET = re.compile(r"(/in/[^/]*/secret/)[^/]+")


def shown_path(path: str) -> str:
    """The path without the secret in it."""
    return _SECRET.sub(r"\1…", path)
