"""What the documentation says is there, is there; and what is there, it says."""

import re
from pathlib import Path

import pytest

from homing.config import Settings
from homing.drivers.registry import families
from homing.model.alerts import GUIDES, AlertKind
from tests import runbook

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


NUMBERED = {"instances", "instance_api_keys", "instance_drivers"}
"""Gathered from `WHATSAPP_INSTANCE_1…`."""


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - NUMBERED))
def test_every_setting_is_described(name: str) -> None:
    assert f"`{name.upper()}`" in (ROOT / "docs" / "settings.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_named_in_the_pages_exist(page: Path) -> None:
    rooms = "|".join(path.name for path in (ROOT / "src" / "homing").iterdir() if path.is_dir())
    for name in re.findall(rf"(?<!tests/)\b((?:{rooms})/[\w/]+\.py)", page.read_text()):
        assert (ROOT / "src" / "homing" / name).exists(), f"{page.name} names {name}"


def test_the_first_screen_says_which_gateways_and_how_far_our_own_engine_is_tried() -> None:
    first_screen = (ROOT / "README.md").read_text().split("```")[0]
    for name in ("the webjs Node service", "WAHA", "Evolution API", "WPPConnect", "wwebjs-api", "baileys-api"):
        assert name in first_screen
    assert "homing instance --engine baileys" in first_screen
    assert "tried against a simulated WhatsApp alone" in first_screen


@pytest.mark.parametrize("family", families())
def test_every_family_is_described(family: str) -> None:
    assert re.search(rf"^\|[^|]+\| `{family}` \|", (ROOT / "docs" / "gateways.md").read_text(), re.MULTILINE)


def test_the_driver_that_the_guide_goes_through_is_the_one_that_is_tested() -> None:
    guide = (ROOT / "docs" / "writing-a-driver.md").read_text()
    code = "".join(path.read_text() for path in (ROOT / "tests" / "outside" / "homing_relay").glob("*.py"))
    shown = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert len(shown) >= 5
    assert [block for block in shown if block not in code] == []


def test_the_licence_is_there_in_full() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_every_alert_has_its_guide() -> None:
    lacking = [kind.value for kind in AlertKind if kind not in GUIDES]
    assert lacking == [], "GUIDES in model/alerts.py says of each kind what it means and what to do"


def test_the_runbook_lists_every_alert_as_its_guide_says() -> None:
    _, listed, _ = runbook.parted(runbook.RUNBOOK.read_text())
    assert listed == runbook.rows(), "`make runbook` writes the list anew"


def test_nothing_for_trials_is_among_the_settings() -> None:
    trials = {"die", "faults", "fault", "injection"}
    assert not [name for name in Settings.model_fields if trials & set(name.split("_"))]


def test_tests_named_as_guarding_a_promise_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "guarantees.md").read_text())
    assert len(named) > 40
    for file, name in named:
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file}::{name}"


def test_supervisors_wait_as_long_as_a_gateway_may_take_to_end() -> None:
    defaults = Settings(_env_file=None)  # type: ignore[call-arg]
    takes_s = defaults.homing_stop_delay + defaults.stop_grace_s + 5
    deploy = ROOT / "deploy"
    [unit] = re.findall(r"^TimeoutStopSec=(\d+)$", (deploy / "homing.service").read_text(), re.MULTILINE)
    [container] = re.findall(r"--stop-timeout (\d+)", (deploy / "Containerfile").read_text())
    assert min(int(unit), int(container)) >= takes_s


def test_the_balancers_example_notices_before_a_gateway_stops_serving() -> None:
    example = (ROOT / "docs" / "deploy" / "haproxy.cfg").read_text()
    [(every, failures)] = re.findall(r"\binter (\d+)s\b.*\bfall (\d+)\b", example)
    defaults = Settings(_env_file=None)  # type: ignore[call-arg]
    assert int(every) * int(failures) < defaults.homing_stop_delay
    [waits] = re.findall(r"^ *timeout server (\d+)s$", example, re.MULTILINE)
    assert int(waits) > defaults.stop_grace_s


def test_the_index_leads_to_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    assert [
        page.name for page in (ROOT / "docs").glob("*.md") if page.name != "index.md" and page.name not in index
    ] == []


def test_no_two_decisions_have_one_number() -> None:
    numbers = [page.name.partition("-")[0] for page in (ROOT / "docs" / "decisions").glob("*.md")]
    assert [number for number in numbers if numbers.count(number) > 1] == []
