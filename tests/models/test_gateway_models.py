"""The models answer as the originals were recorded: the same status, and nothing that the originals do not say."""

from typing import Any

import aiohttp
import pytest

from simulated_gateways import MODELS, Session
from tests.transcripts import KEPT, Exchange, read

UP = {"paired": True}
QR: dict[str, Any] = {}
CLOSED = {"open": False, "paired": True}
DEAD = {"paired": True, "dead": True}
REMOVED = {"paired": True, "removed": True}
NOBODY = None

ALIKE: dict[str, tuple[str, str, str, dict[str, dict[str, Any] | None]]] = {
    "waha-noweb": (
        "waha",
        "wahakey",
        "default",
        {
            "ping": NOBODY,
            "version": NOBODY,
            "server status": NOBODY,
            "list: none running": CLOSED,
            "status: unknown session": NOBODY,
            "status: stopped": CLOSED,
            "send: session stopped": CLOSED,
            "start session": {"open": False},
            "create session: again": QR,
            "status: qr": QR,
            "list: qr": QR,
            "qr (raw)": QR,
            "send: qr (not connected)": QR,
            "status: connected": UP,
            "list: connected": UP,
            "send: ok": UP,
            "start: when running": UP,
            "send: engine throws": UP,
            "send: engine sent, then throws": UP,
            "send: engine dead": UP,
            "status: engine dead": DEAD,
            "restart": UP,
            "stop": UP,
            "stop: again": CLOSED,
            "status: after the phone removed the device": REMOVED,
            "send: after the phone removed the device": REMOVED,
        },
    ),
    "evolution-api": (
        "evolution",
        "ekey",
        "alpha",
        {
            "root": NOBODY,
            "health path: none": NOBODY,
            "wrong key: list": UP,
            "no key: list": UP,
            "wrong key: send to unknown": NOBODY,
            "list: empty": NOBODY,
            "status: unknown session": NOBODY,
            "send: unknown session": NOBODY,
            "create session": NOBODY,
            "create session: again": QR,
            "status: qr": QR,
            "connect (qr)": QR,
            "send: qr (not connected)": QR,
            "list: qr": QR,
            "status: connected": UP,
            "list: connected": UP,
            "list: by name": UP,
            "list: by unknown name": UP,
            "connect: connected": UP,
            "send: ok": UP,
            "send: not on WhatsApp": UP,
            "send: engine throws": UP,
            "send: engine sent, then throws": UP,
            "send: engine dead, number known": UP,
            "status: engine dead": DEAD,
            "restart": UP,
            "status: after the phone removed the device (401)": REMOVED,
            "send: after the phone removed the device": REMOVED,
            "list: after the phone removed the device": REMOVED,
            "logout": UP,
        },
    ),
    "wwebjs-api": (
        "wwebjs-api",
        "wkey",
        "alpha",
        {
            "ping": NOBODY,
            "wrong key": NOBODY,
            "no key": NOBODY,
            "list: empty": NOBODY,
            "status: unknown session": NOBODY,
            "send: unknown session": NOBODY,
            "qr: unknown session": NOBODY,
            "stop: unknown session": NOBODY,
            "create session": NOBODY,
            "create session: bad name": NOBODY,
            "create session: again while it shows a qr": QR,
            "status: qr": QR,
            "qr": QR,
            "send: qr (not connected)": QR,
            "status: connected": UP,
            "qr: connected": UP,
            "list: one": UP,
            "who is it": UP,
            "send: ok": UP,
            "send: missing content type": UP,
            "send: engine throws": UP,
            "send: engine dead": UP,
            "status: engine dead": DEAD,
            "stop": UP,
            "restart": UP,
            "terminate": UP,
        },
    ),
    "wppconnect-server": (
        "wppconnect",
        "psecret",
        "alpha",
        {
            "healthz": NOBODY,
            "no token: send": NOBODY,
            "generate token: wrong secret": NOBODY,
            "generate token": NOBODY,
            "wrong token: status": NOBODY,
            "list: empty": NOBODY,
            "status: unknown session": NOBODY,
            "check-connection: unknown session": NOBODY,
            "send: unknown session": NOBODY,
            "status: qr": QR,
            "check-connection: qr": QR,
            "send: qr (not connected)": QR,
            "create session: again while it shows a qr": QR,
            "status: connected": UP,
            "check-connection: connected": UP,
            "list: one": UP,
            "send: ok": UP,
            "send: number does not exist": UP,
            "send: no phone": UP,
            "send: engine throws": UP,
            "send: engine sent, then throws": UP,
            "send: engine dead": UP,
            "status: engine dead": DEAD,
            "check-connection: engine dead": DEAD,
            "close": UP,
            "status: after close": CLOSED,
            "start again: no qr": CLOSED,
            "logout": UP,
            "list: wrong secret": NOBODY,
        },
    ),
    "baileys-api": (
        "baileys-api",
        "baikey",
        "+628000000009",
        {
            "status: auth": NOBODY,
            "wrong key": NOBODY,
            "no key": NOBODY,
            "send: unknown session": NOBODY,
            "stop: unknown session": NOBODY,
            "send: qr (not connected)": QR,
            "send: ok": UP,
            "on-whatsapp": UP,
            "send: engine throws": UP,
            "send: engine sent, then throws": UP,
            "send: engine dead": UP,
            "send: after the phone removed the device": REMOVED,
            "stop": UP,
        },
    ),
}
CASES = [(file, case) for file, (_, _, _, cases) in ALIKE.items() for case in cases]


@pytest.mark.parametrize(("file", "case"), CASES, ids=[f"{file} {case}" for file, case in CASES])
async def test_a_model_answers_as_its_original_did(file: str, case: str) -> None:
    family, key, name, cases = ALIKE[file]
    exchange = next(each for each in read(KEPT / f"{file}.json").exchanges if each.case == case)
    state = cases[case]
    sessions = {} if state is None else {name: Session(name, **state)}
    model = await MODELS[family](key=key, sessions=sessions).start()
    try:
        status, body = await asked(model.url, exchange)
    finally:
        await model.stop()
    assert status == exchange.status
    assert_nothing_new(body, exchange.answered, case)


async def asked(url: str, exchange: Exchange) -> tuple[int, Any]:
    """The recorded request, made of the model."""
    headers = {
        name: value.replace("SESSION-TOKEN", "token-of-alpha")
        for name, value in exchange.headers.items()
        if (name.lower() in ("x-api-key", "apikey", "authorization", "content-type") and exchange.told is not None)
        or name.lower() in ("x-api-key", "apikey", "authorization")
    }
    async with aiohttp.ClientSession() as http:
        target = aiohttp.client.URL(f"{url}{exchange.target}", encoded=True)
        sent = {"json": exchange.told} if exchange.told is not None else {}
        async with http.request(exchange.method, target, headers=headers, **sent) as reply:
            is_json = reply.content_type == "application/json"
            return reply.status, await reply.json() if is_json else await reply.text()


def assert_nothing_new(said: Any, recorded: Any, where: str) -> None:
    """What the model says has the shape of what was recorded; bare texts are the same."""
    match said:
        case dict():
            assert isinstance(recorded, dict), where
            assert said.keys() <= recorded.keys(), f"{where}: {said.keys() - recorded.keys()}"
            for name, value in said.items():
                assert_nothing_new(value, recorded[name], f"{where}.{name}")
        case list():
            assert isinstance(recorded, list) and bool(said) == bool(recorded), where
            for value in said:
                assert_nothing_new(value, recorded[0], f"{where}[]")
        case str() if where.count(".") == 0 and "[" not in where:
            assert said == recorded
        case int() | float() if not isinstance(said, bool):
            assert isinstance(recorded, int | float), where
        case _:
            assert type(said) is type(recorded), f"{where}: {said!r} is not as {recorded!r}"
