"""A gateway killed between an instance's answer and its own: the client tries again with the same key."""

import asyncio
import contextlib

import aiohttp

from bench.fleet import Fleet
from bench.report import Report

RETRY_EVERY_S = 0.25
HELD_BACK_MS = 1_500


async def run(fleet: Fleet, *, repeats: int) -> Report:
    """The instance does its work at once and holds its answer back; the gateway dies while it waits for it."""
    report = Report(f"A gateway killed before it could answer ({repeats} times)")
    same = once = 0
    waited: list[float] = []
    for repeat in range(repeats):
        resident = fleet.residents[repeat % len(fleet.residents)]
        text = fleet.text("keyed")
        await _hold_back(fleet, resident.instance_url)
        first = asyncio.create_task(fleet.send(resident, text, key=text))
        delivered = await _delivered(fleet, text)
        fleet.kill_gateway(0)
        await first
        await _hold_back(fleet, resident.instance_url, clear=True)
        gateway = 1 if len(fleet.gateways) > 1 else 0
        fleet.demo.start_gateway_again(fleet.gateways[0])
        began_s = asyncio.get_running_loop().time()
        answer = await _until_answered(fleet, resident, text, gateway)
        waited.append(asyncio.get_running_loop().time() - began_s)
        same += answer.get("data", {}).get("message_id") == delivered
        once += fleet.delivered()[text] == 1
        await fleet.ready()
    report.add(
        "the retry is answered 200 with the same message id", "each time", f"{same} of {repeats}", same == repeats
    )
    report.add("the ledger has one line", "each time", f"{once} of {repeats}", once == repeats)
    report.add("until the retry was answered", "≤ 10 s", f"max {max(waited):.1f} s", max(waited) <= 10)
    return report


async def _hold_back(fleet: Fleet, url: str, *, clear: bool = False) -> None:
    """The instance drops the connection instead of answering sends: their work is done, and nobody hears of it."""
    body = {"api_key": fleet.demo.secrets.instance_api_key}
    body |= {"clear": True} if clear else {"drop_after": {"scope": "sends", "seconds": 60}}
    async with aiohttp.ClientSession() as http, http.post(f"{url}/faults", json=body) as answer:
        assert answer.status == 200, await answer.text()


async def _delivered(fleet: Fleet, text: str) -> str:
    """The message id under which the ledger has the text, as soon as it has it."""
    from simulated_whatsapp import ledger

    for _ in range(2_000):
        for delivery in reversed(ledger.read(fleet.demo.folder.ledger)):
            if delivery.text == text:
                return delivery.message_id
        await asyncio.sleep(0.005)
    raise AssertionError("the message was never delivered")


async def _until_answered(fleet: Fleet, resident, text: str, gateway: int) -> dict:  # type: ignore[no-untyped-def, type-arg]
    """What a well-behaved client does: the same request with the same key, until it is answered."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            answer = await fleet.send(resident, text, key=text, gateway=gateway)
            if answer.status == 200:
                return answer.document
        await asyncio.sleep(RETRY_EVERY_S)
    return {}
