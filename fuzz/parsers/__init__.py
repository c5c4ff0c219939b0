"""What reads strangers' bytes, each with a check that holds for any input.

A check takes bytes and returns if all is well: the parser took them, or refused them in the one way that it documents.
Anything else that it raises is a finding. Checks know nothing of what drives them: the tests replay what was kept, and
`fuzz.guided` lets coverage lead to more.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

NAMES = ("reports", "answers", "phones", "names", "bodies", "requests", "replies", "pictures")
"""A module here for each."""


class Parser(Protocol):
    """What each module has."""

    SEEDS: tuple[bytes, ...]
    """Inputs to begin with, each taken by the parser."""
    WORDS: tuple[bytes, ...]
    """Pieces that inputs are made of."""
    check: Callable[[bytes], None]


def parser(name: str) -> Parser:
    """The parser's module, loaded only now: who steers by coverage must come first."""
    module: Parser = import_module(f"{__name__}.{name}")  # type: ignore[assignment]
    return module


def lines(data: bytes, count: int) -> tuple[list[str], bytes]:
    """So many lines as headers carry them, then the rest: inputs that people can read and write."""
    found: list[str] = []
    for _ in range(count):
        line, _, data = data.partition(b"\n")
        found.append(line.decode("latin-1"))
    return found, data
