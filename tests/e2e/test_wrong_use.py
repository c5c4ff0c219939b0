"""A gateway that cannot start says why in one sentence and exits with 2; what runs already is left alone."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.fleet import Fleet, open_fleet
from homing.demo.processes import environment

pytestmark = pytest.mark.e2e

SERVE = [sys.executable, "-P", "-m", "homing.cli", "serve"]
CANNOT = 2


def serve(folder: Path, **settings: str) -> str:
    """The one sentence that it says while it does not start."""
    given = {"HOMING_DATABASE_URL": f"sqlite:///{folder}/homing.db", "HOMING_PORT": str(free_port())} | settings
    ran = subprocess.run(
        SERVE, cwd=folder, env=environment(given), capture_output=True, text=True, timeout=20, check=False
    )
    said = ran.stderr.strip()
    assert (ran.returncode, ran.stdout) == (CANNOT, ""), (ran.returncode, ran.stdout, said)
    assert said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1, said
    return said


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with open_fleet(accounts=1, contacts=1, instances=1) as up:
        yield up
        assert (await up.send(up.residents[0])).status == 200


async def test_a_second_gateway_on_one_sqlite_file_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    assert "homing.db" in serve(tmp_path, HOMING_DATABASE_URL=fleet.demo.database_url)


async def test_a_taken_port_is_named(fleet: Fleet, tmp_path: Path) -> None:
    port = str(fleet.demo.plan.gateway_port)
    assert f"Port {port}" in serve(tmp_path, HOMING_PORT=port)
    assert not (tmp_path / "homing.db").exists()


def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"HOMING_PORT=\xff\xfe8000\n")
    assert ".env" in serve(tmp_path)


def test_a_folder_in_place_of_the_settings_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert ".env" in serve(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WHATSAPP_INSTANCE_1", "localhost:3001"),
        ("WHATSAPP_INSTANCE_2", "http://"),
        ("WHATSAPP_NODEJS_URL", "ftp://localhost:3001"),
        ("HOMING_PORT", "eighty"),
        ("WHATSAPP_TIMEOUT", "-1"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, name: str, value: str) -> None:
    assert name in serve(tmp_path, **{name: value})
    assert not (tmp_path / "homing.db").exists()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://somebody@127.0.0.1/homing",
        "postgresql://somebody:a-secret@127.0.0.1:1",
        "sqlite:////proc/no/such/folder/homing.db",
        "nonsense",
    ],
)
def test_a_database_that_cannot_be_used_is_said_without_its_password(tmp_path: Path, url: str) -> None:
    assert "a-secret" not in serve(tmp_path, HOMING_DATABASE_URL=url)
