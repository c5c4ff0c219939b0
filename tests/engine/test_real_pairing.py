"""A phone is linked by everything that there is: the command, a gateway, an instance with the real engine, WhatsApp."""

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from homing.instance.engines.baileys import installing
from homing.store.vault.sealing import fresh_key
from tests.ports import free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.real]
WAIT_S = 90.0
PHONE = "628111801641"


class Everything:
    """A WhatsApp, an instance, a gateway, and the account 1 on it. Commands are asked as people ask them."""

    def __init__(self, installed: installing.Installed, folder: Path) -> None:
        self.installed, self.folder = installed, folder
        self.running: list[Process] = []

    async def begin(self) -> None:
        self.whatsapp = await self.process(
            *("simulated_whatsapp", "multidevice", "--dictionary", str(self.installed.package)),
            *("--ledger", str(self.folder / "ledger.jsonl"), "--keys", str(self.folder / "keys")),
        )
        gateway, instance = free_ports(2)
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("HOMING_", "WHATSAPP_"))
        } | {
            "HOMING_DATABASE_URL": f"sqlite:///{self.folder / 'homing.db'}",
            "HOMING_VAULT_KEY": str(fresh_key()),
            "HOMING_ENGINES": str(self.installed.package.parent.parent.parent),
            "HOMING_TEST_WHATSAPP_ROOT": self.whatsapp["root_key"],
            "WHATSAPP_API_KEY": "the key of the instances",
            "WHATSAPP_HMAC_SECRET": "the secret of the instances",
            "WHATSAPP_INSTANCE_1": f"http://localhost:{instance}",
            "LARAVEL_URL": f"http://localhost:{gateway}",
        }
        key = json.loads(await self.homing("keys", "create", "--operator", "--scope", "admin", "--json"))
        await self.process(
            *("homing.cli", "instance", "--engine", "baileys", "--whatsapp", self.whatsapp["address"]),
            *("--port", str(instance), "--data", str(self.folder)),
        )
        await self.process("homing.cli", "serve", "--port", str(gateway), ready=f"http://localhost:{gateway}/ready")
        self.environment |= {
            "HOMING_API_URL": f"http://localhost:{gateway}",
            "HOMING_API_TOKEN": key["key"],
        }
        await self.homing("accounts", "create", f"+{PHONE}", "--workspace", "1")

    async def end(self) -> None:
        for each in reversed(self.running):
            with suppress(ProcessLookupError):
                each.terminate()
            await each.wait()

    async def process(self, module: str, *words: str, ready: str | None = None) -> Any:
        """What it says once it is up; with `ready` it is up when that answers 200."""
        command = (sys.executable, "-m", "homing.demo.child", str(os.getpid()), module, *words)
        environment = getattr(self, "environment", None)
        with (self.folder / f"{len(self.running)}.log").open("wb") as log:
            started = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=log, env=environment)
        self.running.append(started)
        if ready is not None:
            await answers(ready)
            return None
        assert started.stdout is not None
        return json.loads(await asyncio.wait_for(started.stdout.readline(), WAIT_S))

    async def command(self, *words: str) -> Process:
        command = (sys.executable, "-m", "homing.cli", *words)
        return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=self.environment)

    async def homing(self, *words: str) -> str:
        ran = await self.command(*words)
        out, err = await asyncio.wait_for(ran.communicate(), WAIT_S)
        assert ran.returncode == 0, err.decode()
        return out.decode()

    async def pairing(self, *options: str) -> tuple[Process, str]:
        """`homing accounts pair` under way, and the code that it shows first."""
        ran = await self.command("accounts", "pair", "1", "--json", "--timeout", "60", *options)
        assert ran.stderr is not None
        async with asyncio.timeout(WAIT_S):
            while found := (await ran.stderr.readline()).decode():
                if code := re.match(r"Code, good for \d+ s: (\S+)", found):
                    return ran, code[1]
        raise AssertionError("it showed no code")

    async def tell(self, what: str, **facts: Any) -> Any:
        url = f"http://{self.whatsapp['address']}/admin/{what}"
        async with aiohttp.ClientSession() as http, http.post(url, json=facts) as answer:
            return answer.status, await answer.json()


async def answers(url: str) -> None:
    async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as http:
        while True:
            with suppress(aiohttp.ClientError):
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


@pytest.fixture
async def everything(installed: installing.Installed, tmp_path: Path) -> AsyncIterator[Everything]:
    made = Everything(installed, tmp_path)
    try:
        await made.begin()
        yield made
    finally:
        await made.end()


async def test_a_phone_that_scans_the_code_of_the_command_is_linked(everything: Everything) -> None:
    ran, code = await everything.pairing()
    assert code.startswith("https://wa.me/settings/linked_devices#")
    assert (await everything.tell("scan", qr=code, phone=PHONE))[0] == 200
    out, err = await asyncio.wait_for(ran.communicate(), WAIT_S)
    assert (ran.returncode, json.loads(out)["status"]) == (0, "connected"), err


async def test_a_code_that_is_typed_into_the_phone_links_it_and_a_wrong_one_says_so(everything: Everything) -> None:
    ran, code = await everything.pairing("--typed")
    assert re.fullmatch(r"[0-9A-Z]{8}", code)
    wrong = "".join("2" if letter != "2" else "3" for letter in code)
    assert (await everything.tell("enter-code", code=wrong, phone=PHONE))[0] == 400
    assert ran.stderr is not None
    said, again = "", None
    async with asyncio.timeout(WAIT_S):
        while again is None:
            said += (line := (await ran.stderr.readline()).decode())
            again = re.match(r"Code, good for \d+ s: (\S+)", line)
    assert "the code was not the one that is shown here" in said
    assert again[1] != code
    assert (await everything.tell("enter-code", code=again[1], phone=PHONE))[0] == 200
    out, err = await asyncio.wait_for(ran.communicate(), WAIT_S)
    assert (ran.returncode, json.loads(out)["status"]) == (0, "connected"), err


async def test_an_account_that_needs_its_passkey_is_told_so_and_can_be_tried_again(everything: Everything) -> None:
    await everything.tell("phone", phone=PHONE, passkey=True)
    ran, code = await everything.pairing()
    status, said = await everything.tell("scan", qr=code, phone=PHONE)
    assert (status, "passkey" in said["reason"]) == (400, True)
    _, err = await asyncio.wait_for(ran.communicate(), WAIT_S)
    assert ran.returncode == 1 and b"passkey required" in err
    shown = json.loads(await everything.homing("accounts", "show", "1", "--json"))
    assert shown["status"] == "failed" and shown["error"].startswith("passkey required")
    await everything.tell("phone", phone=PHONE, passkey=False)
    ran, code = await everything.pairing()
    assert (await everything.tell("scan", qr=code, phone=PHONE))[0] == 200
    out, err = await asyncio.wait_for(ran.communicate(), WAIT_S)
    assert (ran.returncode, json.loads(out)["status"]) == (0, "connected"), err


async def test_a_login_that_another_program_had_is_imported_by_command_and_sends(everything: Everything) -> None:
    folder, stock = everything.folder / "auth", Path(__file__).with_name("stock_client.mjs")
    node, package = everything.installed.node, str(everything.installed.package)
    words = (node, str(stock), package, json.dumps(everything.whatsapp), str(folder), PHONE, "628222000111")
    old = await asyncio.create_subprocess_exec(*words)
    assert await asyncio.wait_for(old.wait(), WAIT_S) == 0
    bringing = ("sessions", "import", str(folder), "--account", "1", "--stopped", "--json")
    refused = await everything.command(*bringing)
    out, _ = await asyncio.wait_for(refused.communicate(), WAIT_S)
    assert (refused.returncode, json.loads(out)["code"]) == (1, "session_in_use"), "it shows a code"
    await everything.homing("accounts", "stop", "1")
    done = json.loads(
        await everything.homing("sessions", "import", str(folder), "--account", "1", "--stopped", "--json")
    )
    assert done["phone"] == PHONE
    shown = json.loads(await everything.homing("accounts", "start", "1", "--json"))
    assert shown["status"] in ("connected", "starting")
    await everything.homing("send", "--account", "1", "--phone", "+628222000111", "by the new one")
