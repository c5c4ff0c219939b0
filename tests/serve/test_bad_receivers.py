"""Receivers that hang, lead elsewhere, or say too much cost themselves and nobody else."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from homing.flows.alerts import receivers
from homing.model.alerts import FLEET, AlertKind
from tests.serve.conftest import Api

Behaviour = Callable[[socket.socket], None]


def hangs(peer: socket.socket) -> None:
    peer.recv(65_536)
    time.sleep(5)


def drips(peer: socket.socket) -> None:
    peer.recv(65_536)
    for each in b"HTTP/1.1 200 OK\r\nx: ":
        peer.sendall(bytes([each]))
        time.sleep(0.1)
    time.sleep(5)


def leads_to_metadata(peer: socket.socket) -> None:
    peer.recv(65_536)
    peer.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n")


def says_ten_megabytes(peer: socket.socket) -> None:
    peer.recv(65_536)
    peer.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 10485760\r\n\r\n")
    peer.sendall(b"x" * 10_485_760)


def says_nonsense(peer: socket.socket) -> None:
    peer.recv(65_536)
    peer.sendall(b"\x00\xff" * 5_000)


def takes_it(peer: socket.socket) -> None:
    peer.recv(65_536)
    peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


@contextmanager
def receiver(behaves: Behaviour, called: list[float]) -> Iterator[str]:
    def serve(listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            called.append(time.monotonic())
            threading.Thread(target=answer, args=(peer,), daemon=True).start()

    def answer(peer: socket.socket) -> None:
        with peer:
            try:
                behaves(peer)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/in"


async def made(api: Api, name: str, url: str) -> dict[str, Any]:
    answer = await api.call("POST", "/receivers", {"name": name, "kind": "webhook", "target": url})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


@pytest.mark.parametrize(
    ("behaves", "why"),
    [
        (hangs, "within 0.5 s"),
        (drips, "within 0.5 s"),
        (leads_to_metadata, "it answered 302"),
        (says_ten_megabytes, "it answered 500"),
        (says_nonsense, ""),
    ],
)
async def test_a_bad_receiver_is_told_why_in_time(
    api: Api, monkeypatch: pytest.MonkeyPatch, behaves: Behaviour, why: str
) -> None:
    monkeypatch.setattr(receivers, "TIMEOUT_S", 0.5)
    with receiver(behaves, []) as url:
        bad = await made(api, "bad", url)
        began_s = time.monotonic()
        tried = (await api.call("POST", f"/receivers/{bad['id']}/test")).json()
    assert (tried["taken"], why in tried["reason"], len(tried["reason"]) < 300) == (False, True, True), tried
    assert time.monotonic() - began_s < 4


async def test_one_that_hangs_keeps_no_other_waiting(api: Api) -> None:
    slow: list[float] = []
    quick: list[float] = []
    with receiver(hangs, slow) as hanging, receiver(takes_it, quick) as well:
        await made(api, "hanging", hanging)
        await made(api, "well", well)
        began_s = time.monotonic()
        api.gateway.alerts.raised(AlertKind.DEAF_TOGETHER, FLEET, "they share a version")
        for _ in range(100):
            if quick and slow:
                break
            await asyncio.sleep(0.1)
    assert quick and slow
    assert quick[0] - began_s < 5


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/latest",
        "http://metadata.google.internal/",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0:8000/",
    ],
)
async def test_no_receiver_leads_to_where_a_cloud_tells_credentials(api: Api, target: str) -> None:
    answer = await api.call("POST", "/receivers", {"name": "x", "kind": "webhook", "target": target})
    assert (answer.status_code, answer.json()["code"]) == (422, "url_refused")


@pytest.mark.parametrize(
    "target", ["http://10.0.0.7:9093/api/v2/alerts", "http://[fd12::1]/in", "http://127.0.0.1:9093/"]
)
async def test_an_operators_receiver_may_be_inside(api: Api, target: str) -> None:
    answer = await api.call("POST", "/receivers", {"name": "x", "kind": "alertmanager", "target": target})
    assert answer.status_code == 201, answer.text
