"""What the documentation says is there, is there; and what is there, it says."""

import re
from pathlib import Path

import pytest

from homing.config import Settings
from homing.drivers import KNOWN_FAMILIES
from homing.model.alerts import GUIDES, AlertKind

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


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


def test_the_first_screen_says_which_gateways_and_which_not_yet() -> None:
    first_screen = (ROOT / "README.md").read_text().split("```")[0]
    ours, _, not_yet = first_screen.partition("Not yet:")
    assert "the webjs Node service" in ours
    assert {name for name in ("WAHA", "Evolution API", "WPPConnect") if name in not_yet} == {
        "WAHA",
        "Evolution API",
        "WPPConnect",
    }
    assert sorted(KNOWN_FAMILIES) == ["webjs"], (
        "a driver was added: say so in the README's first screen and in docs/gateways.md"
    )


def test_the_licence_is_there_in_full() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize("kind", list(AlertKind))
def test_the_runbook_lists_every_alert_as_its_guide_says(kind: AlertKind) -> None:
    guide = GUIDES[kind]
    row = f"| `{kind.value}` | {guide.title} | {guide.means} | {guide.do} |\n"
    assert row in (ROOT / "docs" / "runbook.md").read_text(), f"docs/runbook.md has to say: {row}"


def test_nothing_for_trials_is_among_the_settings() -> None:
    trials = {"die", "faults", "fault", "injection"}
    assert not [name for name in Settings.model_fields if trials & set(name.split("_"))]


def test_tests_named_as_guarding_a_promise_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "guarantees.md").read_text())
    assert len(named) > 40
    for file, name in named:
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file}::{name}"
