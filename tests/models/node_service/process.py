"""The model as a test holds it: the process, the phone, what the judge wrote."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.models.node_service import judge

_ROOT = Path(__file__).parents[3]
_LISTENS_WITHIN_S = 20.0
_ENDS_WITHIN_S = 5.0


@dataclass(slots=True)
class NodeProcess:
    """One place for a process of the service: it can be started, killed and started again."""

    host: str
    port: int
    backend: str
    api_key: str
    hmac_secret: str
    storage: Path
    judge: Path
    log: Path
    options: tuple[str, ...] = ()
    control: str = ""
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    _said_until: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *options: str) -> None:
        """Start it, with further options for this boot; it listens when this returns."""
        self.launch(*options)
        self.listens()

    def launch(self, *options: str) -> None:
        """Start it and do not wait for it."""
        assert not self.runs
        told = {"PORT": str(self.port), "LARAVEL_URL": self.backend, "API_KEY": self.api_key}
        told |= {"HMAC_SECRET": self.hmac_secret, "SESSION_STORAGE_PATH": str(self.storage)}
        own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        command = [sys.executable, "-m", "tests.models.node_service", "--host", self.host, "--judge", str(self.judge)]
        self._said_until = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self.options, *options], stdout=log, stderr=log, cwd=_ROOT, env={**own, **told}
            )

    def listens(self) -> None:
        """Wait until it does."""
        deadline_s = time.monotonic() + _LISTENS_WITHIN_S
        while time.monotonic() < deadline_s and self.runs:
            said = self.log.read_bytes()[self._said_until :].decode()
            if said.endswith("\n") and f'"pid": {self.pid}' in said:
                self.control = json.loads(said.splitlines()[-1])["control"]
                return
            time.sleep(0.02)
        raise AssertionError(f"the model of the Node service did not start: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """kill -9; it is gone when this returns."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_ENDS_WITHIN_S)

    def stop(self) -> None:
        """As pm2 would."""
        if self.runs:
            assert self._process is not None
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(_ENDS_WITHIN_S)

    def ended(self, within_s: float) -> bool:
        """Whether it ended by itself."""
        assert self._process is not None
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    # --- the phone, the network, faults ---------------------------------------------------------------------

    def scan(self, session_id: str, phone: str) -> None:
        """The phone scans the newest code."""
        self._act("/scan", session_id=session_id, phone=phone)

    def log_out(self, session_id: str) -> None:
        """The phone removes the linked device."""
        self._act("/logout", session_id=session_id)

    def navigate(self, session_id: str) -> None:
        """The page goes elsewhere, and comes back by itself."""
        self._act("/navigate", session_id=session_id)

    def receive(self, session_id: str, sender: str, text: str) -> None:
        """Somebody writes to the session."""
        self._act("/receive", session_id=session_id, **{"from": sender, "body": text})

    def faults(self, *, refused: dict[str, int] | None = None, mute: tuple[str, ...] = ()) -> None:
        """In place of all faults before."""
        self._act("/faults", refused=refused or {}, mute=list(mute))

    def _act(self, path: str, **told: Any) -> None:
        _ask("POST", self.control + path, told)

    # --- whoever calls it beside the gateway ----------------------------------------------------------------

    def create(self, session_id: str, workspace_id: int = 1) -> None:
        """Open a session, as an application does that calls the service itself."""
        about = {"session_id": session_id, "workspace_id": workspace_id, "account_id": 1, "api_key": self.api_key}
        _ask("POST", f"{self.url}/api/sessions", about)

    def delete(self, session_id: str) -> None:
        """Close a session, in the same way."""
        _ask("DELETE", f"{self.url}/api/sessions/{session_id}", {"workspace_id": 1, "api_key": self.api_key})

    def listed(self) -> dict[str, str]:
        """The status of each session that it lists."""
        said = _ask("GET", f"{self.url}/api/sessions?api_key={quote(self.api_key)}")
        return {row["session_id"]: row["status"] for row in said["sessions"]}

    # --- logins and the judge -------------------------------------------------------------------------------

    def has_login(self, session_id: str) -> bool:
        return (self.storage / session_id / "device.json").exists()

    def put_login(self, session_id: str, phone: str) -> None:
        """A login that was paired before the test began."""
        folder = self.storage / session_id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "device.json").write_text(json.dumps({"phone": phone}))

    def judged(self, *kinds: str) -> list[dict[str, Any]]:
        """What the judge wrote of all processes that share its file."""
        return judge.read(self.judge, *kinds)


def _ask(method: str, url: str, told: Any = None) -> Any:
    raw = None if told is None else json.dumps(told).encode()
    request = urllib.request.Request(url, raw, {"Content-Type": "application/json"}, method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=15) as answer:
        return json.loads(answer.read())
