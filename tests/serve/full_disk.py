"""Run as a process of its own: a gateway whose disk is full for a while, and what each request was answered.

`python full_disk.py FOLDER` prints one JSON document: the answers before, during and after, and what came of it all.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from homing.compose import open_gateway
from homing.config import Settings
from homing.drivers import Drivers
from homing.model.directory.access import Scope
from homing.serve.app import Application
from homing.serve.callers.keyring import new_key
from homing.world import SystemClock
from tests.contract.failing_disk import FullDisk
from tests.flows.worlds import A, World

SIZE_KIB = 12_288
LINES = 700
PNG = b"\x89PNG\r\n\x1a\n" + bytes(600_000)
Answer = tuple[int, str]


class Client:
    """Asks for each of the three in turn."""

    def __init__(self, http: httpx.AsyncClient, account: str) -> None:
        self._http, self._about = http, {"workspace_id": 1, "account_uuid": account}

    async def asked(self, label: str) -> dict[str, Answer]:
        later = {"phone": "+62811801641", "send_at": "2027-06-01T08:00:00Z"}
        lines = "\n".join(json.dumps({"phone": "+62811801641", "message": f"{label} bulk"}) for _ in range(LINES))
        ndjson = {"Content-Type": "application/x-ndjson"}
        bulk = {**self._about, "send_at": later["send_at"]}
        return {
            "outbox": await self._said("/messages", json={**self._about, **later, "message": f"{label} outbox"}),
            "bulk": await self._said("/messages/bulk", content=lines, params=bulk, headers=ndjson),
            "media": await self._said("/media", content=PNG, params={"type": "image", "workspace_id": 1}),
        }

    async def _said(self, path: str, **how: Any) -> Answer:
        answer = await self._http.post(f"/api/v1{path}", timeout=60, **how)
        return answer.status_code, answer.json().get("code", "")


async def lived(folder: Path) -> dict[str, Any]:
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None,
        homing_database_url=f"sqlite:///{folder / 'homing.db'}",
        instances=(A,),
        homing_sync_schedule="",
        homing_deaf_schedule="",
    )
    disk = FullDisk(folder)
    async with open_gateway(settings, Drivers({"webjs": World(SystemClock(), A)})) as gateway:
        application = Application(gateway)
        key, secret = new_key(gateway.entropy, gateway.clock, workspace=None, scope=Scope.ADMIN, name="operator")
        await gateway.stores.directory.add_key(key)
        await gateway.keyring.refresh()
        transport = httpx.ASGITransport(app=application)  # type: ignore[arg-type]
        headers = {"Authorization": f"Bearer {secret}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://homing", headers=headers) as http:
            made = await http.post("/api/v1/accounts", json={"workspace_id": 1, "phone": "0816108641"})
            client = Client(http, made.json()["uuid"])
            told: dict[str, Any] = {"before": await client.asked("before")}
            disk.begin()
            told["during"] = await client.asked("during")
            disk.end()
            told["after"] = await client.asked("after")
            while await gateway.stores.outbox.sweep_batches():
                pass
            told["kept"] = await counted(gateway)
        await application.close()
    return told


async def counted(gateway: Any) -> dict[str, int]:
    """How many messages there are of each kind."""
    found: dict[str, int] = {}
    before: str | None = None
    while rows := await gateway.stores.outbox.page(None, before=before, limit=500):
        for row in rows:
            found[row.text] = found.get(row.text, 0) + 1
        before = rows[-1].uuid
    return found


def main(folder: str) -> None:
    size = f"size={SIZE_KIB}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
    told = asyncio.run(lived(Path(folder)))
    whole = [each for each in Path(folder).rglob("*") if each.is_file() and each.stat().st_size == len(PNG)]
    halves = [each.name for each in Path(folder).glob("*-incoming/*")]
    print(json.dumps({**told, "files": len(whole), "halves": halves}))


if __name__ == "__main__":
    main(sys.argv[1])
