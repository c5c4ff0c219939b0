"""Following the state stream: it goes on where it broke off, and says how old is what is shown."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from homing.cli.sources.gateway import GatewayClient
from homing.cli.terminal.stops import RequestRefused, Stopped

SILENT_S = 15.0
"""Three heartbeats: nobody is at the other end any more."""
AGAIN_S = (0.5, 1.0, 2.0, 5.0)

Frame = tuple[str, str, Mapping[str, Any]]


def frames(lines: Iterable[bytes]) -> Iterator[Frame | None]:
    """`(id, event, document)` of each frame of server-sent events; None for a comment, which is a heartbeat."""
    fields: dict[str, list[str]] = {}
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if "data" in fields:
                told = json.loads("\n".join(fields["data"]))
                yield fields.get("id", [""])[-1], fields.get("event", ["message"])[-1], told
            fields = {}
        elif line.startswith(":"):
            yield None
        else:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))


class Following:
    """Reads the stream in a thread of its own, and hands each frame to `tell`.

    `trouble` is why nothing comes just now; `heard_s` when (monotonic) something last did.
    """

    def __init__(self, gateway: GatewayClient, tell: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._gateway, self._tell = gateway, tell
        self.trouble: str | None = "connecting"
        self.refused: Stopped | None = None
        self.heard_s = time.monotonic()
        self._last_id: str | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="state stream", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()

    def _follow(self) -> None:
        failures = 0
        while not self._over.is_set():
            try:
                with self._gateway.stream("/state", last_id=self._last_id, silent_s=SILENT_S) as lines:
                    for frame in frames(lines):
                        failures = 0
                        self._heard(frame)
                        if self._over.is_set():
                            return
                self.trouble = "the gateway ended the stream"
            except RequestRefused as refused:
                if refused.status in (401, 403):
                    self.refused = refused
                    return
                self.trouble = str(refused)
            except (Stopped, OSError, ValueError) as error:
                self.trouble = str(error) or type(error).__name__
            self._over.wait(AGAIN_S[min(failures, len(AGAIN_S) - 1)])
            failures += 1

    def _heard(self, frame: Frame | None) -> None:
        self.heard_s, self.trouble = time.monotonic(), None
        if frame is not None:
            number, event, told = frame
            self._tell(event, told)
            self._last_id = number or self._last_id
