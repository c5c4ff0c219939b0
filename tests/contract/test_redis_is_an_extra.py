"""Whoever has one gateway, or PostgreSQL alone, needs no client for Redis."""

import ast
import sys
from pathlib import Path

import pytest

from homing.store.db.database import StoreMisconfigured
from homing.store.db.opening import open_database
from homing.store.notices.opening import open_notices

STORE = Path(__file__).parents[2] / "src" / "homing"


def test_one_module_needs_it() -> None:
    needing = {
        str(path.relative_to(STORE))
        for path in STORE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "redis"
    }
    assert needing == {"store/notices/redis.py"}


async def test_where_it_is_named_and_not_installed_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "homing.store.notices.redis", raising=False)
    for name in [name for name in sys.modules if name.startswith("redis.")]:
        monkeypatch.delitem(sys.modules, name)
    database = open_database("sqlite://")
    try:
        with pytest.raises(StoreMisconfigured, match=r"pip install 'homing\[redis\]'"):
            await open_notices(database, "sqlite://", "redis://localhost:1")
    finally:
        await database.close()
