"""The house rules, read from the source: where imports point, what only the world may touch, how long things get."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"
FILES = sorted(path for path in SRC.rglob("*.py"))
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

# What each part may import of ours. A part not named may import nothing of ours but the model.
MAY_IMPORT: dict[str, set[str]] = {
    "model": {"model"},
    "decide": {"model", "decide"},
    "ports": {"model", "ports"},
    "flows": {"model", "decide", "ports", "flows"},
    "drivers": {"model", "ports", "drivers", "plugins"},
    "store": {"model", "decide", "ports", "store"},
    "imports": {"model", "ports", "imports"},
    "routing": {"model", "ports", "drivers"},
    "serve": {"model", "decide", "ports", "flows", "drivers", "store", "routing", "config", "serve", "world", ""},
    "world": set(),
    "listening": set(),
    "config": {"model", "decide"},
    "instance": {"model", "decide", "ports", "instance", "listening", "plugins", "simulated_whatsapp"},
    "plugins": set(),
}
OTHER_SIDE = {"simulated_whatsapp", "simulated_gateways"}
SEES_ALL = {"compose", "cli", "demo", "lab", "__init__", "__main__"}

TIME_AND_CHANCE = {
    "time.time": "Clock.now",
    "time.monotonic": "Clock.monotonic",
    "datetime.now": "Clock.now",
    "random.random": "Entropy.random",
    "uuid.uuid4": "Entropy.uuid",
    "asyncio.sleep": "Clock.sleep",
    "asyncio.to_thread": "a port",
}
DETERMINISTIC = {"decide", "flows", "model"}


def part_of(path: Path) -> str:
    inside = path.relative_to(SRC)
    if inside.parts[0] != "homing":
        return inside.parts[0]
    return inside.parts[1].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "homing")


def ours(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] == "simulated_whatsapp":
        return "simulated_whatsapp"
    return parts[1] if parts[0] == "homing" and len(parts) > 1 else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_imports_point_towards_the_model(path: Path) -> None:
    part = part_of(path)
    reached = {found for name in imported(ast.parse(path.read_text())) if (found := ours(name)) is not None}
    if part in OTHER_SIDE:
        assert reached <= {"simulated_whatsapp"}, "the judge, and other people's gateways, know nothing of homing"
    elif part not in SEES_ALL:
        allowed = MAY_IMPORT[part]
        assert reached <= allowed, f"{part} may import {sorted(allowed)}, and imports {sorted(reached - allowed)}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if part_of(path) in DETERMINISTIC], ids=lambda path: str(path.relative_to(SRC))
)
def test_time_and_chance_come_through_ports(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            instead = next((port for name, port in TIME_AND_CHANCE.items() if called.endswith(name)), None)
            assert instead is None, f"line {node.lineno}: {called} makes a run unrepeatable; use {instead}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= FILE_LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno
            assert size <= FUNCTION_LINES_MAX, f"{node.name} has {size} lines"


def module_of(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def arrows() -> dict[str, set[str]]:
    """Each module, and those that it imports, wherever in it that stands."""
    modules = {module_of(path): ast.parse(path.read_text()) for path in FILES}
    found: dict[str, set[str]] = {}
    for name, tree in modules.items():
        reached = {
            each if each in modules else node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for each in (f"{node.module}.{alias.name}" for alias in node.names)
        }
        found[name] = (reached & modules.keys()) - {name}
    return found


def test_no_module_is_imported_by_what_it_imports() -> None:
    """Also where the import stands in a function or is for types alone: a circle is a circle for the reader."""
    waiting = arrows()
    while free := {name for name, reached in waiting.items() if not reached & waiting.keys()}:
        waiting = {name: reached for name, reached in waiting.items() if name not in free}
    circles = {name: sorted(reached & waiting.keys()) for name, reached in waiting.items()}
    assert circles == {}, "these import each other, or what does"


def test_no_two_classes_have_one_name() -> None:
    where: dict[str, list[str]] = {}
    for path in sorted((SRC / "homing").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name, []).append(str(path.relative_to(SRC)))
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "the module has no docstring"
