"""A process at the other end of an engine's pipe that says what a test wrote down, in place of Node.

Called as `scripted_sidecar.py SCRIPT FD`. The script is a JSON list of steps: ``["say", {...}]``, ``["hear", TYPE]``
(reads until a frame of this type; its channel and number fill ``"$s"`` and ``"$n"`` in what is said next),
``["garbage"]``, ``["huge"]``, ``["sleep"]``, ``["exit"]``. What was heard is appended to SCRIPT.heard, a line each.
"""

import json
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


def main() -> None:
    script, fd = Path(sys.argv[1]), int(sys.argv[2])
    pipe = socket.socket(fileno=os.dup(fd))
    heard = script.with_suffix(".heard").open("a")
    known: dict[str, Any] = {"$s": 1, "$n": 0}
    say(pipe, {"t": "hello", "protocol": 1, "baileys": "scripted", "node": "none"}, known)
    for what, *more in json.loads(script.read_text()):
        match what:
            case "say":
                say(pipe, more[0], known)
            case "hear":
                known = hear(pipe, more[0], heard, known)
            case "garbage":
                pipe.sendall((7).to_bytes(4, "big") + b"no JSON")
            case "huge":
                pipe.sendall((2**31).to_bytes(4, "big"))
            case "sleep":
                time.sleep(60)
            case "exit":
                read_all(pipe)
                os._exit(1)
    hear(pipe, "nothing", heard, known)


def say(pipe: socket.socket, frame: dict[str, Any], known: dict[str, Any]) -> None:
    filled = {name: known.get(value, value) if isinstance(value, str) else value for name, value in frame.items()}
    body = json.dumps({"s": known["$s"], **filled}).encode()
    pipe.sendall(len(body).to_bytes(4, "big") + body)


def hear(pipe: socket.socket, wanted: str, heard: Any, known: dict[str, Any]) -> dict[str, Any]:
    while True:
        frame = json.loads(whole(pipe, int.from_bytes(whole(pipe, 4), "big")))
        if frame["t"] == "ping":
            continue
        heard.write(json.dumps(frame) + "\n")
        heard.flush()
        if frame["t"] == wanted:
            return {"$s": frame.get("s", known["$s"]), "$n": frame.get("n", known["$n"])}


def read_all(pipe: socket.socket) -> None:
    """Whoever ends with something unread takes back what it said, where that was not read yet."""
    pipe.settimeout(0.05)
    with suppress(TimeoutError):
        while pipe.recv(4096):
            pass


def whole(pipe: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = pipe.recv(size - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return data


main()
