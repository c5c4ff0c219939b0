"""The house rules, read from the source: where imports point, what only the world may touch, how long things get."""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"
FILES = sorted(path for path in SRC.rglob("*.py"))
FOLDERS = sorted({path.parent for path in FILES if path.parent != SRC})
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
DRAWER_FILES_MAX = 16
"""Beside its `__init__`, and without the rooms in it."""

LONE_LINES_MAX = 30

OTHER_SIDE = {"simulated_whatsapp", "simulated_gateways"}
# What each room may import beside what docs/architecture.md draws: single files, and the other side.
BESIDES: dict[str, set[str]] = {
    "serve": {"config", "world", ""},
    "drivers": {"plugins"},
    "instance": {"listening", "plugins", "simulated_whatsapp"},
    "config": {"model", "decide"},
    "simulated_whatsapp": {"simulated_whatsapp"},
    "simulated_gateways": {"simulated_whatsapp"},
}
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


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's tree. Each file is read once for all that is asked of it."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def said(path: Path) -> str:
    """The module's docstring, on one line."""
    module = nodes(path)[0]
    assert isinstance(module, ast.Module)
    return " ".join((ast.get_docstring(module) or "").split())


def short(path: Path) -> str:
    return str(path.relative_to(SRC))


def part_of(path: Path) -> str:
    inside = path.relative_to(SRC)
    if inside.parts[0] != "homing":
        return inside.parts[0]
    return inside.parts[1].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_reached(path: Path) -> set[str]:
    """The parts of ours that a file imports; the empty text where it is the package itself."""
    return {found for name in imported(path) if (found := _ours(name)) is not None}


def _ours(name: str) -> str | None:
    first, _, rest = name.partition(".")
    if first in OTHER_SIDE:
        return first
    return rest.partition(".")[0] if first == "homing" and rest and not rest.startswith("__") else None


def drawn() -> dict[str, set[str]]:
    """The arrows of the drawing of the rooms in docs/architecture.md: a room, and the rooms that it points to."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    drawing = page[page.index("## The rooms") : page.index("An arrow is an import.")]
    found: dict[str, set[str]] = {}
    for line in drawing.splitlines():
        if "-->" in line:
            start, _, ends = line.partition("-->")
            found.setdefault(start.strip(), set()).update(end.strip() for end in ends.split("&"))
    return found


def may_import(part: str) -> set[str]:
    arrows_drawn, reached = drawn(), {part, "model"}
    while more := {end for start in reached for end in arrows_drawn.get(start, ())} - reached:
        reached |= more
    return reached | BESIDES.get(part, set())


def test_imports_point_as_the_architecture_draws_them() -> None:
    alone = {"world", "listening", "plugins", *OTHER_SIDE}
    wrong = []
    for path in FILES:
        part = part_of(path)
        if part in SEES_ALL:
            continue
        allowed = BESIDES.get(part, set()) if part in alone or part == "config" else may_import(part)
        wrong += [f"{short(path)} imports {reached}" for reached in sorted(parts_reached(path) - allowed - {part})]
    assert wrong == [], "docs/architecture.md draws who may import whom; judges and other people's gateways know nobody"


def test_each_arrow_that_is_drawn_is_an_import() -> None:
    real = {(part_of(path), reached) for path in FILES for reached in parts_reached(path)}
    told = {(start, end) for start, ends in drawn().items() for end in ends}
    assert len(told) > 20
    assert sorted(told - real) == []


def test_every_room_is_drawn() -> None:
    rooms = {path.name for path in (SRC / "homing").iterdir() if (path / "__init__.py").exists()}
    assert rooms == drawn().keys() | set().union(*drawn().values())


def test_every_folder_of_a_room_is_named_in_its_row() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    unnamed = {}
    for room in sorted({folder for folder in FOLDERS if folder.parent == SRC / "homing"}):
        [row] = re.findall(rf"^\| (?:`\w+`, )*`{room.name}`.*$", page, re.MULTILINE)
        inside = sorted(each.name for each in room.iterdir() if (each / "__init__.py").exists())
        if missing := [name for name in inside if f"`{name}`" not in row]:
            unnamed[room.name] = missing
    assert unnamed == {}


def test_time_and_chance_come_through_ports() -> None:
    wrong = [
        f"{short(path)}:{node.lineno}: {called} makes a run unrepeatable; use {port}"
        for path in FILES
        if part_of(path) in DETERMINISTIC
        for node in nodes(path)
        if isinstance(node, ast.Call)
        for called in [ast.unparse(node.func)]
        for name, port in TIME_AND_CHANCE.items()
        if called.endswith(name)
    ]
    assert wrong == []


def test_lines_of_the_log_have_one_style() -> None:
    """An event in plain words and its facts by name, through structlog alone."""
    wrong = [
        f"{short(path)}:{node.lineno}"
        for path in FILES
        if part_of(path) not in OTHER_SIDE
        for node in nodes(path)
        if isinstance(node, ast.Call) and _is_log_call(node) and not _is_an_event(node)
    ]
    assert wrong == []


LEVELS = {"debug", "info", "warning", "error", "exception"}


def _is_log_call(call: ast.Call) -> bool:
    called = ast.unparse(call.func)
    return called.endswith("getLogger") or called in {f"log.{level}" for level in LEVELS}


def _is_an_event(call: ast.Call) -> bool:
    """What happened is the one argument, the same words each time: facts are not written into it."""
    if len(call.args) != 1 or isinstance(call.args[0], ast.JoinedStr | ast.BinOp):
        return False
    words = str(call.args[0].value) if isinstance(call.args[0], ast.Constant) else "Chosen above"
    return "%" not in words and not words[0].islower()


def test_files_and_functions_stay_readable() -> None:
    lines = {short(path): path.read_text().count("\n") for path in FILES}
    assert {name: count for name, count in lines.items() if count > FILE_LINES_MAX} == {}
    sizes = {
        f"{short(path)}: {node.name}": (node.end_lineno or node.lineno) - node.lineno
        for path in FILES
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: size for name, size in sizes.items() if size > FUNCTION_LINES_MAX} == {}


def test_no_drawer_is_too_full() -> None:
    full = {
        short(folder): len(files)
        for folder in FOLDERS
        if len(files := [path for path in folder.glob("*.py") if path.name != "__init__.py"]) > DRAWER_FILES_MAX
    }
    assert full == {}, "what belongs together gets a folder of its own"


def module_of(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def test_no_module_is_imported_by_what_it_imports() -> None:
    """Also where the import stands in a function or is for types alone: a circle is a circle for the reader."""
    waiting = {name: arrows_of(path) - {name} for name, path in MODULES.items()}
    while free := {name for name, reached in waiting.items() if not reached & waiting.keys()}:
        waiting = {name: reached for name, reached in waiting.items() if name not in free}
    circles = {name: sorted(reached & waiting.keys()) for name, reached in waiting.items()}
    assert circles == {}, "these import each other, or what does"


def arrows_of(path: Path) -> set[str]:
    """The modules that a file takes something from: of `from a import b`, `b` where that is a module, else `a`."""
    return {
        each if each in MODULES else node.module
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and node.module
        for each in (f"{node.module}.{alias.name}" for alias in node.names)
    } & MODULES.keys()


def test_no_file_is_there_for_one_short_function_of_its_only_caller() -> None:
    callers: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        for each in arrows_of(path) - {name}:
            callers.setdefault(each, set()).add(name)
    lone = {
        short(path): f"belongs into {short(MODULES[caller])}"
        for name, path in MODULES.items()
        for caller in callers.get(name, ())
        if len(callers[name]) == 1 and part_of(path) == part_of(MODULES[caller]) and _is_one_short_function(path)
    }
    assert lone == {}


def _is_one_short_function(path: Path) -> bool:
    tree = nodes(path)[0]
    assert isinstance(tree, ast.Module)
    found = [each for each in tree.body if isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
    public = [each for each in found if not each.name.startswith("_")]
    is_function = len(public) == 1 and not isinstance(public[0], ast.ClassDef)
    return is_function and path.name != "__init__.py" and path.read_text().count("\n") <= LONE_LINES_MAX


def test_what_only_tests_use_is_with_the_tests() -> None:
    """Every module is reached from a command, an entry point or a migration, by an import or by its name in a text."""
    reached, waiting = set[str](), set(_started())
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= (_named_in(MODULES[name]) | _around(name)) - reached
    assert sorted(MODULES.keys() - reached) == []


def _started() -> Iterator[str]:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for group in (points["scripts"], *points["entry-points"].values()):
        yield from (point.partition(":")[0] for point in group.values())
    yield from (name for name in MODULES if name.endswith("__main__") or ".migrations." in name)


def _named_in(path: Path) -> set[str]:
    texts = {node.value for node in nodes(path) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {*imported(path), *texts} & MODULES.keys()


def _around(name: str) -> Iterable[str]:
    """The folders that a module is in, whose `__init__` runs before it."""
    parts = name.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts))} & MODULES.keys()


def test_no_two_classes_have_one_name() -> None:
    where: dict[str, list[str]] = {}
    for path in FILES:
        if part_of(path) not in OTHER_SIDE:
            for node in nodes(path):
                if isinstance(node, ast.ClassDef):
                    where.setdefault(node.name, []).append(short(path))
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


def test_no_two_files_of_tests_have_one_name() -> None:
    """They are modules without packages: whoever collects both in one process finds one of them only."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_every_module_says_what_it_is_for() -> None:
    assert [short(path) for path in FILES if path.read_text().strip() and not said(path)] == []


def test_every_folder_says_what_it_is_what_it_may_use_and_where_to_begin() -> None:
    wrong = {}
    for folder in FOLDERS:
        if folder.name == "versions":
            continue  # its files are numbered, and the folder around them says what they are
        told = said(folder / "__init__.py")
        first = re.search(r"Begin with (.*)", told)
        named = re.findall(r"`([\w/.]+)`", first[1]) if first else []
        missing = [name for name in named if not _is_there(folder / name)]
        if missing or not named or len(re.findall(r"[.?](?: |$)", told)) < 3:
            wrong[short(folder)] = missing or told
    assert wrong == {}, "a folder's __init__: what lives there, what it may use, and `Begin with …`"


def _is_there(named: Path) -> bool:
    return named.exists() or named.with_suffix(".py").exists()
