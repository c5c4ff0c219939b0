"""The names in the code are those of the glossary: one thing, one word."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOMING = ROOT / "src" / "homing"
LAB = {"lab", "demo"}
"""What proves the product has models of it, which are called what they model."""
NAMED = re.compile(r"^\| ([^|]+) \| [^|]+ \| ([^|]*) \|$", re.MULTILINE)
ALSO_MEANS_SOMETHING_ELSE = {
    "user", "number", "recipient", "connection", "client", "server", "backend", "life", "kind", "feature", "binding",
    "version", "generation", "lock", "permit", "webhook", "callback", "notification", "failover", "result", "status",
    "exception", "message", "tenant", "vendor",
}  # fmt: skip
"""Words that are fine for other things: an HTTP client, a database's server, the failover of a database."""


def glossary() -> dict[str, list[str]]:
    """Each word, and those that are not used in its place."""
    rows = NAMED.findall((ROOT / "docs" / "glossary.md").read_text())
    return {
        word: [other.split(" (")[0].strip() for other in others.split(",") if other.strip()]
        for word, others in rows
        if word != "word"
    }


@cache
def names() -> tuple[tuple[Path, str], ...]:
    """Modules, and public classes and functions; read once for all words."""
    return tuple(_names())


def _names() -> Iterator[tuple[Path, str]]:
    for path in sorted(HOMING.rglob("*.py")):
        if path.relative_to(HOMING).parts[0] in LAB:
            continue
        yield path, path.stem
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node.name


def words_of(name: str) -> set[str]:
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def test_the_glossary_can_be_read() -> None:
    assert {"workspace", "session", "epoch", "report", "outcome"} <= glossary().keys()


@pytest.mark.parametrize("word", sorted(glossary()))
def test_nothing_goes_by_a_word_that_the_glossary_rules_out(word: str) -> None:
    ruled_out = {each for each in glossary()[word] if " " not in each} - ALSO_MEANS_SOMETHING_ELSE
    found = [f"{path.relative_to(HOMING)}: {name}" for path, name in names() if words_of(name) & ruled_out]
    assert found == [], f"say {word}"


def test_the_first_version_and_its_service_are_called_by_their_names() -> None:
    found = [
        str(path.relative_to(ROOT))
        for folder in ("src", "docs", "deploy")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".md", ".service"} and re.search(r"\b[Tt]he seed's\b", path.read_text())
    ]
    assert found == []
