"""What the documentation says is there, is there; and what is there, it says."""

import re
from pathlib import Path

import pytest

from homing.config import Settings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("name", sorted(set(Settings.model_fields) - {"instances", "instance_api_keys"}))
def test_every_setting_is_described(name: str) -> None:
    assert f"`{name.upper()}`" in (ROOT / "docs" / "settings.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_named_in_the_pages_exist(page: Path) -> None:
    for name in re.findall(r"(?<!tests/)\b((?:serve|flows|decide|drivers|store)/\w+\.py)", page.read_text()):
        assert (ROOT / "src" / "homing" / name).exists(), f"{page.name} names {name}"


def test_tests_named_as_guarding_a_promise_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "guarantees.md").read_text())
    assert len(named) > 40
    for file, name in named:
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file}::{name}"
