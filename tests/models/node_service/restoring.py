"""What the service restores at boot (services/AccountRestoration.js)."""

import asyncio
from typing import Any

import aiohttp

from tests.models.node_service.sessions import Sessions

ASKED_AFTER_S = (0.0, 1.0, 2.0)
"""Pauses before each question: it asks at 0, 1 and 3 s, and without an answer restores nothing."""


async def restore(backend: str, api_key: str, sessions: Sessions, http: aiohttp.ClientSession) -> None:
    """Ask the backend which sessions to run, and open them one after another."""
    for session in await _active(backend, api_key, http):
        workspace_id = int(session.get("workspace_id", 1))
        await sessions.restored(str(session["session_id"]), workspace_id)


async def _active(backend: str, api_key: str, http: aiohttp.ClientSession) -> list[dict[str, Any]]:
    headers = {
        "Accept": "application/json, text/plain, */*",
        "Content-Type": "application/json",
        "X-API-Key": api_key,
        "User-Agent": "axios/1.21.1",
    }
    limit = aiohttp.ClientTimeout(total=30)
    for pause in ASKED_AFTER_S:
        await asyncio.sleep(pause)
        try:
            url = f"{backend}/api/whatsapp/accounts/active"
            async with http.get(url, headers=headers, timeout=limit) as answer:
                if answer.status < 400:
                    said = await answer.json(content_type=None)
                    return list(said.get("sessions") or [])
        except (aiohttp.ClientError, TimeoutError, ValueError):
            continue
    return []
