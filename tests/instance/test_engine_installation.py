"""What the engine of the real WhatsApp needs: whatever is missing is one sentence, with what to do."""

import json
from pathlib import Path

import pytest

from homing.instance.engines.baileys import installing
from homing.instance.engines.baileys.installing import FILES, WANTED, found, install
from homing.instance.engines.registry import EngineUnusable


def program(folder: Path, name: str, script: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def node(tmp_path: Path) -> str:
    return program(tmp_path / "bin", "node", "echo v22.1.0")


def fetched(version: str = "7.0.0-rc14") -> str:
    """What npm does, where all is well."""
    at = "node_modules/baileys"
    told = json.dumps({"version": version})
    return f"mkdir -p {at}/lib && echo '{told}' > {at}/package.json && touch {at}/lib/index.js"


def test_without_node_it_is_said_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(EngineUnusable, match="install Node 20 or newer"):
        found(str(tmp_path / "nowhere"), tmp_path)


@pytest.mark.parametrize("says", ["echo v18.19.0", "echo 'no version'", "exit 1"])
def test_a_node_that_is_too_old_or_none_is_not_run(tmp_path: Path, says: str) -> None:
    with pytest.raises(EngineUnusable, match="needs Node 20 or newer"):
        found(program(tmp_path / "bin", "node", says), tmp_path)


def test_what_was_never_installed_is_told_so(tmp_path: Path, node: str) -> None:
    with pytest.raises(EngineUnusable, match=r"not installed in .*`homing engine install` fetches it"):
        found(node, tmp_path)


def test_what_npm_fetched_is_found(tmp_path: Path, node: str) -> None:
    npm = program(tmp_path / "bin", "npm", f'test "$1 $2" = "ci --ignore-scripts" && {fetched()}')
    done = install(node, tmp_path / "engines", npm=npm)
    assert (done.version, done.node_version) == ("7.0.0-rc14", "v22.1.0")
    assert found(node, tmp_path / "engines") == done


def test_what_could_not_be_fetched_leaves_what_was_there(tmp_path: Path, node: str) -> None:
    done = install(node, tmp_path / "engines", npm=program(tmp_path / "bin", "npm", fetched()))
    failing = program(tmp_path / "bin", "npm-away", "echo 'npm error code ECONNREFUSED' >&2; exit 1")
    with pytest.raises(EngineUnusable, match=r"ECONNREFUSED.*registry reachable"):
        install(node, tmp_path / "engines", npm=failing)
    assert found(node, tmp_path / "engines") == done


def test_a_half_finished_installation_is_not_run(tmp_path: Path, node: str) -> None:
    half = tmp_path / "engines" / "baileys" / "node_modules" / "baileys" / "lib"
    half.mkdir(parents=True)
    (half / "index.js").touch()
    with pytest.raises(EngineUnusable, match="not complete; `homing engine install` fetches it anew"):
        found(node, tmp_path / "engines")


def test_what_another_release_installed_is_fetched_anew(
    tmp_path: Path, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(node, tmp_path / "engines", npm=program(tmp_path / "bin", "npm", fetched()))
    monkeypatch.setattr(installing, "wanted", lambda: "another lock file")
    with pytest.raises(EngineUnusable, match="of another release"):
        found(node, tmp_path / "engines")


def test_without_npm_it_is_said_where_it_comes_from(tmp_path: Path, node: str) -> None:
    with pytest.raises(EngineUnusable, match=r"npm is not there.*comes with Node"):
        install(node, tmp_path, npm=str(tmp_path / "nowhere"))


def test_the_lock_file_names_bytes_and_no_registry() -> None:
    lock = json.loads((WANTED / FILES[1]).read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert packages["node_modules/baileys"]["version"] == "7.0.0-rc14"
    assert all("integrity" in each and "resolved" not in each for each in packages.values())
