"""A test's own port to the service: the phone, the network, and faults. No gateway knows of it."""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.models.node_service.faults import Faults
from tests.models.node_service.sessions import NotHeld, Sessions


def app(sessions: Sessions, faults: Faults) -> web.Application:
    """POST /scan {session_id, phone}, /logout, /navigate {session_id}, /receive {session_id, from, body}, /faults."""
    acts: dict[str, Callable[[dict[str, Any]], None]] = {
        "/scan": lambda told: sessions.scan(told["session_id"], told["phone"]),
        "/logout": lambda told: sessions.log_out(told["session_id"]),
        "/navigate": lambda told: sessions.navigate(told["session_id"]),
        "/receive": lambda told: sessions.receive(told["session_id"], told["from"], told["body"]),
        "/faults": faults.change,
    }

    async def act(request: web.Request) -> web.Response:
        try:
            acts[request.path](json.loads(await request.text()))
        except KeyError as missing:
            return web.json_response({"error": f"{missing} is missing"}, status=400)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        except NotHeld:
            return web.json_response({"error": "not held, or not in that state"}, status=409)
        return web.json_response({"done": True})

    control = web.Application()
    control.add_routes([web.post(path, act) for path in acts])
    return control
