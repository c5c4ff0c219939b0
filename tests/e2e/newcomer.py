"""A newcomer's fleet: `homing serve` set up as README's quick start says, in front of processes of the Node service.

Each process of the service listens on an address of its own (127.0.0.2, 127.0.0.3, …) and on the same port, and each
calls itself `http://localhost:PORT`, as the service does wherever it runs.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.models.node_service.process import NodeProcess
from tests.ports import free_ports

KEY = "the-key-your-instances-expect"
SECRET = "the-secret-they-sign-with"
READY_WITHIN_S = 30.0
SOURCES = Path(__file__).parents[2] / "src"
_SETTINGS = ("HOMING_", "WHATSAPP_", "LARAVEL_", "HMAC_", "API_KEY", "WEBHOOK_")
_KEYED: list[tuple[bytes, str]] = []
_QUICK = ("--browser-takes=0.1", "--ready-takes=0.2", "--qr-every=2", "--reconnects-after=0.5")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request was answered."""

    status: int
    document: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str | None:
        return self.document.get("code") if isinstance(self.document, dict) else None

    def __str__(self) -> str:
        return f"{self.status} {json.dumps(self.document)}"


@dataclass(slots=True)
class Newcomer:
    """The folder that the quick start was followed in, the gateways, and the instances they are to find."""

    folder: Path
    ports: list[int]
    nodes: list[NodeProcess]
    http: aiohttp.ClientSession
    settings: dict[str, str]
    token: str = ""
    gateways: "dict[int, subprocess.Popen[bytes]]" = field(default_factory=dict)

    # --- the quick start ------------------------------------------------------------------------------------

    def write_settings(self, **more: str) -> None:
        """The `.env` of the quick start, with what a test adds."""
        self.settings |= more
        lines = [f"WHATSAPP_INSTANCE_{number}={node.url}" for number, node in enumerate(self.nodes, start=1)]
        lines += [f"WHATSAPP_API_KEY={KEY}", f"WHATSAPP_HMAC_SECRET={SECRET}"]
        lines += [f"{name}={value}" for name, value in self.settings.items()]
        (self.folder / ".env").write_text("\n".join(lines) + "\n")

    def homing(self, *words: str, exits: int | None = 0, remote: bool = False) -> str:
        """What a command says, on both streams. `remote`: it talks to the gateway."""
        told = {"HOMING_API_URL": self.api(), "HOMING_API_TOKEN": self.token} if remote else {}
        command = [sys.executable, "-m", "homing.cli", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment(told), capture_output=True, text=True, timeout=60
        )
        if exits is not None:
            assert done.returncode == exits, f"homing {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout if remote or "create" in words else done.stdout + done.stderr

    def create_key(self) -> None:
        self.token = self.homing("keys", "create", "--operator", "--scope", "admin", "--name", "me").strip()

    def take_key(self) -> None:
        """The same, from a database that another test of this run made: a process less to wait for."""
        if not _KEYED:
            self.create_key()
            _KEYED.append(((self.folder / "homing.db").read_bytes(), self.token))
        database, self.token = _KEYED[0]
        (self.folder / "homing.db").write_bytes(database)

    async def serve(self, number: int = 0, *, ready: bool = True, **settings: str) -> None:
        """Start a gateway; with `ready` it can do its work when this returns."""
        self._launch(number, settings)
        if ready:
            await self.until_ready(number)

    async def until_ready(self, number: int = 0) -> None:
        await self.until(lambda: self._is_ready(number), READY_WITHIN_S, "the gateway is ready")

    def _launch(self, number: int, settings: Mapping[str, str]) -> None:
        with self.log_file(number).open("ab") as log:
            self.gateways[number] = subprocess.Popen(
                [sys.executable, "-m", "homing.cli", "serve", "--port", str(self.ports[number])],
                cwd=self.folder,
                env=self._environment(settings),
                stdout=log,
                stderr=log,
            )

    def kill_gateway(self, number: int = 0) -> None:
        self.gateways[number].kill()
        self.gateways.pop(number).wait()

    def stop_gateway(self, number: int = 0) -> int:
        gateway = self.gateways.pop(number)
        gateway.send_signal(signal.SIGTERM)
        return gateway.wait(15)

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
        return {**own, "PYTHONPATH": str(SOURCES), "NO_COLOR": "1", "COLUMNS": "200", "HOMING_STOP_DELAY": "0", **more}

    async def _is_ready(self, number: int) -> bool:
        process = self.gateways[number]
        assert process.poll() is None, f"the gateway ended: {self.log_file(number).read_text()[-3000:]}"
        try:
            async with self.http.get(f"{self.api(number)}/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    # --- sessions -------------------------------------------------------------------------------------------

    async def running(self, node: NodeProcess, session_id: str, phone: str) -> None:
        """A session that was paired long ago and is opened by somebody who does not ask homing."""
        node.put_login(session_id, phone)
        node.create(session_id)

        async def connected() -> bool:
            return node.listed().get(session_id) == "connected"

        await self.until(connected, 10, f"{session_id} runs on {node.url}")

    async def adopted(self, node: NodeProcess, session_id: str, phone: str) -> dict[str, Any]:
        """An account whose session runs on the instance already."""
        await self.running(node, session_id, phone)
        account = await self.add_account(f"+{phone}", session_id=session_id, start=False)
        assert account["instance_url"] == node.url, account
        return await self.until_status(account, "connected")

    async def paired(self, phone: str) -> dict[str, Any]:
        """A new account, paired by its phone: what a newcomer does first."""
        account = await self.add_account(f"+{phone}")
        node = self.node_of(account)

        async def scanned() -> bool:
            try:
                node.scan(account["session_id"], phone)
            except OSError:  # no code is shown yet
                return False
            return True

        await self.until(scanned, 10, "a code is shown")
        return await self.until_status(account, "connected")

    def node_of(self, account: Mapping[str, Any]) -> NodeProcess:
        return next(node for node in self.nodes if node.url == account["instance_url"])

    # --- what it says ---------------------------------------------------------------------------------------

    def api(self, number: int = 0) -> str:
        return f"http://127.0.0.1:{self.ports[number]}"

    async def ask(self, method: str, path: str, body: Any = None, *, gateway: int = 0, **headers: str) -> Answer:
        """One request under /api/v1, by the operator's key."""
        told = {"Authorization": f"Bearer {self.token}", **headers}
        url = f"{self.api(gateway)}/api/v1{path}"
        async with self.http.request(method, url, json=body, headers=told) as answer:
            text = await answer.text()
            return Answer(answer.status, json.loads(text) if text else None, answer.headers)

    async def get(self, path: str, **more: Any) -> Any:
        """A document that is there."""
        answer = await self.ask("GET", path, **more)
        assert answer.status == 200, answer
        return answer.document

    async def account(self, ref: object) -> dict[str, Any]:
        return dict(await self.get(f"/accounts/{ref}"))

    async def add_account(self, phone: str, **more: Any) -> dict[str, Any]:
        """A new account of workspace 1."""
        answer = await self.ask("POST", "/accounts", {"workspace_id": 1, "phone": phone, **more})
        assert answer.status in (200, 201), answer
        return dict(answer.document)

    async def send(
        self, account: Mapping[str, Any], text: str, *, phone: str = "+628000000001", gateway: int = 0
    ) -> Answer:
        body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": phone, "message": text}
        return await self.ask("POST", "/messages/send", body, gateway=gateway)

    async def instance(self, node: NodeProcess) -> dict[str, Any]:
        rows = (await self.get("/instances"))["data"]
        return next(row for row in rows if row["url"] == node.url)

    async def figure(self, name: str, **labels: str) -> float:
        """A figure of /metrics, over all its label sets that have these labels."""
        async with self.http.get(f"{self.api()}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.split()[-1]) for line in found if all(each in line for each in wanted))

    def log_file(self, number: int = 0) -> Path:
        return self.folder / f"gateway-{number}.log"

    def log(self, number: int = 0) -> list[dict[str, Any]]:
        """What the gateway logged, line by line."""
        lines = self.log_file(number).read_text().splitlines() if self.log_file(number).exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, words: str, number: int = 0) -> list[dict[str, Any]]:
        return [line for line in self.log(number) if words in json.dumps(line, ensure_ascii=False)]

    # --- what became of it ----------------------------------------------------------------------------------

    def judged(self, *kinds: str) -> list[dict[str, Any]]:
        return self.nodes[0].judged(*kinds)

    def nothing_was_spoilt(self) -> None:
        """No session was started twice, no login deleted, no pairing disturbed."""
        assert self.judged("second_client", "two_processes", "login_deleted", "pairing_disturbed") == []

    async def until(
        self, holds: Callable[[], Awaitable[Any]], within_s: float = 15.0, what: str = "it", every_s: float = 0.1
    ) -> Any:
        """The first true answer."""
        deadline_s = time.monotonic() + within_s
        while not (found := await holds()):
            assert time.monotonic() < deadline_s, f"not within {within_s} s: {what}\n{self.last_words()}"
            await asyncio.sleep(every_s)
        return found

    async def until_healthy(self, nodes: Sequence[NodeProcess] | None = None) -> None:
        """Each of them is known to answer."""

        async def well() -> bool:
            rows = {row["url"]: row["health"] for row in (await self.get("/instances"))["data"]}
            return all(rows[node.url] == "healthy" for node in nodes or self.nodes)

        await self.until(well, 20, "the instances are healthy")

    async def until_status(self, account: Mapping[str, Any], status: str, within_s: float = 15.0) -> dict[str, Any]:
        async def stands() -> dict[str, Any] | None:
            shown = await self.account(account["uuid"])
            return shown if shown["status"] == status else None

        return dict(await self.until(stands, within_s, f"account {account['id']} is {status}"))

    async def until_judged(self, kind: str, session_id: str, within_s: float = 15.0, count: int = 1) -> None:
        async def so() -> bool:
            return sum(line["session_id"] == session_id for line in self.judged(kind)) >= count

        await self.until(so, within_s, f"{session_id} is {kind}")

    async def until_sent(self, account: Mapping[str, Any], text: str, within_s: float = 20.0) -> Answer:
        """The first 200 of one text that is sent anew until it is answered so, as a customer would."""

        async def sent() -> Answer | None:
            answer = await self.send(account, text)
            return answer if answer.status == 200 else None

        found: Answer = await self.until(sent, within_s, f"{text!r} is sent", every_s=0.3)
        return found

    def last_words(self) -> str:
        return "\n".join(json.dumps(line) for line in self.log()[-25:])


@asynccontextmanager
async def settled(folder: Path, *, spoilt_is_asserted: bool = True, **more: Any) -> AsyncIterator[Newcomer]:
    """A fleet that is up: first the gateway, then the instances. Whatever a test does, nothing may be spoilt."""
    async with newcomer(folder, **more) as fleet:
        if "database_url" in more:
            await asyncio.to_thread(fleet.create_key)  # its way to the database may be a proxy on this loop
        else:
            fleet.take_key()
        await fleet.serve()
        start_all(fleet.nodes)
        await fleet.until_healthy()
        yield fleet
        if spoilt_is_asserted:
            fleet.nothing_was_spoilt()


@asynccontextmanager
async def newcomer(
    folder: Path,
    *,
    instances: int = 3,
    gateways: int = 1,
    database_url: str | None = None,
    shared_storage: bool = False,
    node_options: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Newcomer]:
    """The fleet, with nothing started yet and the settings written; whatever is up is ended afterwards."""
    hosts = [f"127.0.0.{number}" for number in range(2, instances + 2)]
    node_port, *ports = free_ports(gateways + 1, ["127.0.0.1", *hosts])
    nodes = [
        NodeProcess(
            host,
            node_port,
            f"http://127.0.0.1:{ports[0]}/in/{number}",
            KEY,
            SECRET,
            storage=folder / ("shared" if shared_storage else f"sessions-{number}"),
            judge=folder / "judge.jsonl",
            log=folder / f"node-{number}.log",
            options=(*_QUICK, *node_options),
        )
        for number, host in enumerate(hosts, start=1)
    ]
    # A user's address is where the gateway listens; tests share the machine, so the port is any free one.
    told = {"HOMING_PORT": str(ports[0]), **(settings or {})}
    told |= {"HOMING_DATABASE_URL": database_url} if database_url else {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=90)) as http:
        fleet = Newcomer(folder, ports, nodes, http, told)
        fleet.write_settings()
        try:
            yield fleet
        finally:
            for gateway in fleet.gateways.values():
                gateway.kill()
                gateway.wait()
            for node in nodes:
                node.kill()


def start_all(nodes: Sequence[NodeProcess], *options: str) -> None:
    for node in nodes:
        node.launch(*options)
    for node in nodes:
        node.listens()
