"""Engines come by entry point, also those of packages that nobody here knows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from homing.cli.run.processes import instance
from homing.cli.terminal.stops import CannotStart
from homing.instance.engines.registry import GROUP, EngineSetup, EngineUnusable, engines, open_engine
from homing.store.vault.sealing import fresh_key

PARROT = """
from homing.instance.engines.registry import EngineSetup
from homing.instance.engines.simulated import SimulatedEngine
from simulated_whatsapp.wire import tcp


class Parrot(SimulatedEngine):
    name = "parrot"


def opened(setup: EngineSetup) -> Parrot:
    return Parrot(tcp(setup.whatsapp_address or "127.0.0.1:1"))
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    engines.cache_clear()
    yield tmp_path
    engines.cache_clear()


def install(site: Path, name: str, opened: str) -> None:
    """A package that was installed: importable, and with its metadata beside it."""
    (site / "parrot_engine.py").write_text(PARROT)
    info = site / f"{name}_engine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-engine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {opened}\n")


def test_the_simulated_engine_is_registered_as_all_others_are() -> None:
    assert open_engine("simulated", EngineSetup("127.0.0.1:1")).name == "simulated"


def test_a_package_from_outside_brings_an_engine(site: Path) -> None:
    install(site, "parrot", "parrot_engine:opened")
    assert open_engine("parrot", EngineSetup()).name == "parrot"


@pytest.mark.parametrize("opened", ["parrot_engine:nothing", "no_such_package:opened", "parrot_engine:PARROT"])
def test_a_broken_package_takes_no_other_engine_away(site: Path, opened: str) -> None:
    install(site, "parrot", opened)
    assert "simulated" in engines() and "parrot" not in engines()


def test_an_engine_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(EngineUnusable, match=r"no engine 'imaginary'; known are .*simulated"):
        open_engine("imaginary", EngineSetup())


def test_the_command_says_what_the_simulated_engine_lacks(monkeypatch: pytest.MonkeyPatch, sqlite_url: str) -> None:
    monkeypatch.setenv("HOMING_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("HOMING_VAULT_KEY", str(fresh_key()))
    monkeypatch.setenv("WHATSAPP_HMAC_SECRET", "a-secret-of-sixteen-or-more")
    with pytest.raises(CannotStart, match="--whatsapp HOST:PORT"):
        instance(api_key="a-key-of-sixteen-or-more", port=0)
