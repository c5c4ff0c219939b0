"""`homing demo` as others use it: as a process, by its state file, its sockets and its ledger."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from homing.demo import story
from homing.demo.command import run
from homing.demo.plan import DemoPlan
from homing.serve import logs
from simulated_whatsapp import ledger
from tests.ports import free_ports, is_free

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

COMMAND = [sys.executable, "-m", "homing.cli", "demo"]
ENDS_WITHIN_S = 10.0
READY_WITHIN_S = 30.0

LEAKS = {
    "HOMING_PORT": "1",
    "HOMING_DATABASE_URL": "mysql://somebody/elses",
    "HOMING_REDIS_URL": "redis://127.0.0.1:1/0",
    "homing_cache_ttl": "-5",
    "WHATSAPP_API_KEY": "somebody-elses",
    "WHATSAPP_INSTANCE_1": "http://somebody.elses:9",
    "INSTANCES": "no list",
}
"""Settings of a caller that mean other things than this demo; each would stop or mislead a part of it."""


@dataclass(slots=True)
class RunningDemo:
    """A demo in a process of its own, and what its state file says."""

    process: "subprocess.Popen[str]"
    folder: Path
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def ports(self) -> list[int]:
        urls = [self.state["api_url"], *(instance["url"] for instance in self.state["instances"])]
        return [int(url.rpartition(":")[2]) for url in urls]

    @property
    def pids(self) -> list[int]:
        state = self.state
        return [state["whatsapp"]["pid"], state["gateway"]["pid"], *(one["pid"] for one in state["instances"])]

    def account(self, number: int) -> dict[str, Any]:
        return next(account for account in self.state["accounts"] if account["id"] == number)

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.state['token']}", "Content-Type": "application/json"}
        return ask(method, f"{self.state['api_url']}/api/v1{path}", body, headers)

    def send(self, number: int, text: str) -> dict[str, Any]:
        body = {
            "workspace_id": 1,
            "account_uuid": self.account(number)["uuid"],
            "contact_uuid": self.state["contacts"][0]["uuid"],
            "message": text,
        }
        return self.ask("POST", "/messages/send", body)

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """The exit code, and all that it said."""
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=ENDS_WITHIN_S)
        return self.process.returncode, out


def ask(method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, sent, headers or {"Content-Type": "application/json"}, method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=20) as answer:
        return dict(json.load(answer))


@contextmanager
def demo(folder: Path, *options: str, instances: int = 3, accounts: int = 4) -> Iterator[RunningDemo]:
    """A demo that is ready; whatever the test does to it, nothing of it is left afterwards."""
    state_file, ports = folder / "state.json", free_ports(instances + 2)
    size = ["--instances", str(instances), "--accounts", str(accounts), "--contacts", "2"]
    size += ["--port", str(ports[0]), "--instance-ports", str(ports[2]), "--state-file", str(state_file)]
    process = subprocess.Popen(
        [*COMMAND, *size, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**os.environ, **LEAKS},
    )
    running = RunningDemo(process, folder)
    try:
        running.state = _until_ready(process, state_file)
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=ENDS_WITHIN_S)
        if process.stdout is not None:
            process.stdout.close()


def _until_ready(process: "subprocess.Popen[str]", state_file: Path) -> dict[str, Any]:
    deadline_s = time.monotonic() + READY_WITHIN_S
    while not state_file.exists():
        if process.poll() is not None:
            pytest.fail(f"the demo ended: {process.communicate()[0]}")
        assert time.monotonic() < deadline_s, "the demo was not ready in time"
        time.sleep(0.05)
    return dict(json.loads(state_file.read_text()))


def alive(pid: int) -> bool:
    """Whether the process is there. One that ended and was not collected yet by its parent is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> set[int]:
    """The demo's processes, by their own command lines."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"homing.demo.child" in words and str(pid).encode() in words:
                found.add(int(entry.name))
    return {child for child in found if alive(child)}


def listening_ports(pid: int) -> set[int]:
    """The ports that a process holds, from the kernel's tables."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:  # closed since it was listed
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in sockets}


def until(holds: Callable[[], bool], within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not so within {within_s} s"
        time.sleep(0.02)


def gone(pids: list[int], ports: list[int], within_s: float = 2.0) -> bool:
    deadline_s = time.monotonic() + within_s
    while any(map(alive, pids)) or not all(is_free("127.0.0.1", port) for port in ports):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True


# --- a demo that is up ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """One demo for the claims that leave it as it was. Its caller's environment and `.env` are full of traps."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / ".env").write_text("HOMING_DATABASE_URL=mysql://somebody/elses\nWHATSAPP_TIMEOUT=never\n")
    with demo(folder, "--data", str(folder / "data")) as running:
        yield running


def test_the_state_file_says_exactly_what_is_promised(up: RunningDemo):
    assert set(up.state) == {
        *("api_url", "dashboard_url", "token", "database", "ledger", "hmac_secret", "instance_api_key"),
        *("whatsapp", "gateway", "instances", "accounts", "contacts"),
    }
    assert set(up.state["whatsapp"]) == {"pid", "address"}
    assert set(up.state["gateway"]) == {"pid"}
    assert {frozenset(one) for one in up.state["instances"]} == {frozenset({"url", "pid"})}
    fields = {"id", "uuid", "phone", "session_id", "workspace_id", "instance_url"}
    assert {frozenset(one) for one in up.state["accounts"]} == {frozenset(fields)}
    assert {frozenset(one) for one in up.state["contacts"]} == {frozenset({"uuid", "phone"})}
    assert up.state["database"] == f"sqlite:///{up.folder / 'data' / 'homing.db'}"
    assert up.state["ledger"] == str(up.folder / "data" / "ledger.jsonl")
    assert up.state["dashboard_url"].startswith(up.state["api_url"])


def test_each_pid_is_that_of_the_process_that_holds_the_sockets(up: RunningDemo):
    gateway_port, *instance_ports = up.ports
    assert gateway_port in listening_ports(up.state["gateway"]["pid"])
    for one, port in zip(up.state["instances"], instance_ports, strict=True):
        assert listening_ports(one["pid"]) == {port}
    address: str = up.state["whatsapp"]["address"]
    assert listening_ports(up.state["whatsapp"]["pid"]) == {int(address.rpartition(":")[2])}
    assert children_of(up.process.pid) == set(up.pids)
    assert {os.getsid(pid) for pid in up.pids} == set(up.pids), "a Ctrl-C on the terminal reaches the demo alone"


def test_the_known_accounts_are_where_they_are_documented(up: RunningDemo):
    urls = [one["url"] for one in up.state["instances"]]
    seeds = [(one["id"], one["phone"], one["workspace_id"], one["instance_url"]) for one in up.state["accounts"][:3]]
    assert seeds == [
        (142, "0816108641", 1, urls[0]),
        (144, "62811801641", 1, urls[1]),
        (145, "62811111111", 1, urls[2]),
    ]
    shown = up.ask("GET", "/accounts/144")
    assert (shown["instance_url"], shown["epoch"], shown["status"]) == (urls[1], 1, "connected")
    assert up.ask("GET", "/moves?account=144")["data"][0]["kind"] == "placement"


def test_an_account_created_later_is_scanned_by_its_own_phone(tmp_path: Path):
    with demo(tmp_path, instances=2, accounts=3) as running:
        made = running.ask("POST", "/accounts", {"workspace_id": 1, "phone": "0812-3456-7890"})
        until(lambda: running.ask("GET", f"/accounts/{made['id']}")["status"] == "connected", within_s=15)
        known = running.ask("GET", f"/accounts/{made['id']}")
        assert (known["reported_phone"], known["attention"]) == (None, []), known
        body = {"workspace_id": 1, "account_uuid": made["uuid"], "phone": "62811801641", "message": "from a newcomer"}
        assert running.ask("POST", "/messages/send", body)["success"]


def test_every_session_is_logged_in_where_the_directory_says(up: RunningDemo):
    for one in up.state["instances"]:
        listed = ask("GET", f"{one['url']}/api/sessions?api_key={up.state['instance_api_key']}")["sessions"]
        held = {(row["session_id"], row["status"], row["epoch"]) for row in listed}
        placed = [account for account in up.state["accounts"] if account["instance_url"] == one["url"]]
        assert held == {(account["session_id"], "connected", 1) for account in placed}


@pytest.mark.parametrize("number", [142, 144, 145])
def test_a_message_through_it_reaches_its_recipient(up: RunningDemo, number: int):
    text = f"from {number}"
    answer = up.send(number, text)
    assert (answer["success"], answer["failover"], answer["instance_url"]) == (
        True,
        False,
        up.account(number)["instance_url"],
    )
    (entry,) = [entry for entry in ledger.read(Path(up.state["ledger"])) if entry.text == text]
    assert (entry.recipient, entry.session_id) == (up.state["contacts"][0]["phone"], up.account(number)["session_id"])
    assert entry.label == {"instance_url": up.account(number)["instance_url"], "epoch": 1}


def test_its_commands_work_as_the_panel_says(up: RunningDemo):
    settings = {"HOMING_API_URL": up.state["api_url"], "HOMING_API_TOKEN": up.state["token"]}
    command = [sys.executable, "-m", "homing.cli", "accounts", "show", "144", "--json"]
    env = {"PATH": os.environ["PATH"], **settings}
    shown = subprocess.run(command, capture_output=True, env=env, cwd=up.state["ledger"].rpartition("/")[0], check=True)
    assert json.loads(shown.stdout)["uuid"] == up.account(144)["uuid"]


def test_a_taken_port_is_one_sentence_and_leaves_what_runs_alone(up: RunningDemo, tmp_path: Path):
    taken = up.ports[2]
    command = [*COMMAND, "--port", str(free_ports(1)[0]), "--instance-ports", str(taken - 1), "--instances", "2"]
    state_file = tmp_path / "state.json"
    ran = subprocess.run(
        [*command, "--data", str(tmp_path / "data"), "--state-file", str(state_file)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"Port {taken - 1} cannot be had (Address already in use)")
    assert ran.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert all(map(alive, up.pids))


@pytest.mark.parametrize("fresh", [(), ("--fresh",)])
def test_a_folder_in_use_is_refused(up: RunningDemo, fresh: tuple[str, ...]):
    ports = free_ports(6)
    command = [*COMMAND, "--port", str(ports[0]), "--instance-ports", str(ports[1])]
    data = up.folder / "data"
    ran = subprocess.run([*command, "--data", str(data), *fresh], capture_output=True, text=True, timeout=20)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert str(data) in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert up.send(142, f"still here {fresh}")["success"]


# --- instances report -----------------------------------------------------------------------------------------


def test_instances_report_and_a_session_started_elsewhere_is_corrected_at_once(tmp_path: Path):
    with demo(tmp_path, instances=2, accounts=2) as running:
        # What instances had to tell before the gateway listened is tried again after 1, 2 and 4 s.
        until(lambda: len(running.ask("GET", "/events?kind=session_ready")["data"]) == 2, within_s=20)
        elsewhere, home = (one["url"] for one in running.state["instances"])
        session = running.account(144)["session_id"]
        started = {"api_key": running.state["instance_api_key"], "session_id": session, "workspace_id": 1}
        assert ask("POST", f"{elsewhere}/api/sessions", started)["status"] == "connected"
        until(lambda: running.ask("GET", "/accounts/144")["instance_url"] == elsewhere, within_s=15)
        newest = running.ask("GET", "/moves?account=144")["data"][0]
        assert (newest["from_url"], newest["to_url"]) == (home, elsewhere)
        # Both tell of it at the same moment, and either may be heard first.
        told_by = (f"session_ready from {elsewhere}: ", f"session_disconnected from {home}: ")
        assert newest["reason"].startswith(told_by)

        def told() -> set[tuple[str, str]]:
            events = running.ask("GET", "/events?account=144")["data"]
            return {(event["kind"], event["instance_url"]) for event in events}

        until(lambda: {("session_disconnected", home), ("session_ready", elsewhere)} <= told(), within_s=5)


def test_without_reports_the_gateway_is_told_nothing(tmp_path: Path):
    with demo(tmp_path, "--no-reports", instances=2, accounts=2) as running:
        assert running.send(142, "nobody is told")["success"]
        assert running.ask("GET", "/events")["data"] == []


# --- how a demo ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_told_to_end_it_leaves_nothing_behind(tmp_path: Path, number: signal.Signals):
    with demo(tmp_path, instances=2, accounts=2) as running:
        temporary = Path(running.state["ledger"]).parent
        assert temporary.exists()
        code, _ = running.end(number)
        assert code == 0
        assert gone(running.pids, running.ports, within_s=0)
        assert not temporary.exists()
        assert list(tmp_path.iterdir()) == [], "the state file is gone too: nothing is ready any more"


def test_a_part_that_does_not_react_is_ended_all_the_same(tmp_path: Path):
    with demo(tmp_path, instances=2, accounts=2) as running:
        os.kill(running.state["instances"][0]["pid"], signal.SIGSTOP)
        began_s = time.monotonic()
        assert running.end()[0] == 0
        assert time.monotonic() - began_s < 6
        assert gone(running.pids, running.ports, within_s=0)


def test_killed_it_takes_its_processes_along(tmp_path: Path):
    with demo(tmp_path, "--data", str(tmp_path / "data"), instances=2, accounts=2) as running:
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.communicate(timeout=5)
        assert gone(running.pids, running.ports)


def test_what_is_killed_stays_dead_and_is_said_and_the_rest_stays_up(tmp_path: Path):
    with demo(tmp_path, "--data", str(tmp_path / "data"), instances=2, accounts=3) as running:
        victim = running.state["instances"][1]
        os.kill(victim["pid"], signal.SIGKILL)
        time.sleep(1.0)
        assert is_free("127.0.0.1", running.ports[2])
        assert running.send(142, "still there")["success"]
        _, said = running.end()
        assert f"Instance 2 (pid {victim['pid']}) ended: signal SIGKILL. The demo does not restart it." in said
        assert (tmp_path / "data" / "ledger.jsonl").exists(), "a folder that was named is kept"

    with demo(tmp_path, "--data", str(tmp_path / "data"), "--fresh", instances=2, accounts=2) as again:
        assert again.send(142, "anew")["success"]
        assert [entry.text for entry in ledger.read(Path(again.state["ledger"]))] == ["anew"]


def test_a_gateway_told_to_stop_does_not_wait_for_those_who_watch(tmp_path: Path):
    with demo(tmp_path, instances=1, accounts=1) as running:
        headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {running.state['token']}"}
        watching = urllib.request.Request(f"{running.state['api_url']}/api/v1/events", headers=headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(watching, timeout=20) as stream:
            assert stream.readline().startswith(b"retry")
            os.kill(running.state["gateway"]["pid"], signal.SIGTERM)
            until(lambda: not alive(running.state["gateway"]["pid"]), within_s=5)
            stream.read()


def test_two_gateways_share_one_postgresql_database(tmp_path: Path, empty_postgres_url: str):
    options = ("--gateways", "2", "--database", empty_postgres_url)
    with demo(tmp_path, *options, instances=2, accounts=3) as running:
        first, second = running.state["gateways"]
        assert (first["url"], first["pid"]) == (running.state["api_url"], running.state["gateway"]["pid"])
        headers = {"Authorization": f"Bearer {running.state['token']}"}
        for one in (first, second):
            assert ask("GET", f"{one['url']}/api/v1/accounts/144", headers=headers)["epoch"] == 1
        assert running.send(144, "over PostgreSQL")["success"]


# --- the story ------------------------------------------------------------------------------------------------


def test_the_story_comes_out_as_promised(tmp_path: Path):
    ports = free_ports(5)
    where = ["--port", str(ports[0]), "--instance-ports", str(ports[1])]
    options = ["--instances", "4", "--accounts", "8", *where, "--json"]
    ran = subprocess.run(
        [*COMMAND, "--story", *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        env={**os.environ, **LEAKS},
    )
    told = json.loads(ran.stdout)
    assert (ran.returncode, told["passed"], len(told["scenarios"])) == (0, True, 3)
    for scenario in told["scenarios"]:
        assert scenario["passed"]
        assert all(claim["holds"] for claim in scenario["claims"])
        assert scenario["timeline"]
    assert "3 of 3 scenarios came out as promised" in ran.stderr
    assert "failover" in ran.stderr
    assert all(is_free("127.0.0.1", port) for port in ports)
    assert list(tmp_path.iterdir()) == []


def test_a_promise_that_is_not_kept_fails_the_story(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A recovery within a millisecond is more than any gateway can do."""
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    monkeypatch.setattr(story, "RECOVERS_WITHIN_S", 0.001)
    ports = free_ports(4)
    plan = DemoPlan(
        instances=3,
        accounts=6,
        gateway_port=ports[0],
        first_instance_port=ports[1],
        folder=tmp_path / "data",
        story=True,
        reports=False,
        as_json=True,
    )
    assert run(plan) == 1
    out = capsys.readouterr().out
    told = json.loads(out[out.index("{\n") :])
    broken = [[claim["claim"] for claim in scenario["claims"] if not claim["holds"]] for scenario in told["scenarios"]]
    assert broken == [["it took less than 0 s"], [], []], out
    assert all(is_free("127.0.0.1", port) for port in ports)
