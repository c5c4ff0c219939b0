"""A gateway killed between an instance's answer and its own: the client tries again with the same key."""

import asyncio
import time

from bench.fleet import Answered, Fleet
from bench.held import Door, behind_a_door
from bench.report import Report, Spread
from homing.demo.population import DemoAccount
from simulated_whatsapp import ledger

LEASE_S = 5.0
MARGIN_S = 1.0
RETRY_EVERY_S = 0.1
GIVES_UP_AFTER_S = 20.0


async def run(fleet: Fleet, *, repeats: int) -> Report:
    """All sessions of one instance send at once; the gateway dies when the instance has answered all of them."""
    url = next(iter(fleet.demo.instances))
    senders = fleet.on(url)
    report = Report(f"A gateway killed before it could answer: {repeats} times, {len(senders)} sends each")
    waited: list[float] = []
    same = once = 0
    async with behind_a_door(fleet, url) as door:
        await _find_them(fleet, senders)
        for _ in range(repeats):
            texts = {fleet.text("keyed"): sender for sender in senders}
            ids = await _killed_meanwhile(fleet, door, texts)
            killed_s = time.monotonic()
            answers = await asyncio.gather(*(_until_answered(fleet, one, text) for text, one in texts.items()))
            waited += [each.at_s - killed_s for each in answers]
            same += sum(each.document["data"]["message_id"] == ids[each.text] for each in answers)
            once += sum(fleet.delivered()[text] == 1 for text in texts)
            await fleet.ready()
    every = repeats * len(senders)
    report.add("retries answered 200 with the first message id", "each", f"{same} of {every}", same == every)
    report.add("lines in the ledger", "one each", f"{once} of {every} have one", once == every)
    spread = Spread(waited)
    kept = spread.at(1.0) <= LEASE_S + MARGIN_S
    report.add("from the kill to the answer", "max ≤ 6 s (a lease is 5 s)", spread, kept)
    return report


async def _find_them(fleet: Fleet, senders: list[DemoAccount]) -> None:
    """Their instance began again, under new epochs: let every gateway know."""
    for gateway in range(len(fleet.gateways)):
        for sender in senders:
            assert (await fleet.send(sender, gateway=gateway)).status == 200


async def _killed_meanwhile(fleet: Fleet, door: Door, texts: dict[str, DemoAccount]) -> dict[str, str]:
    """Kill the first gateway while it waits for the answers to all of these; returns the ids that WhatsApp has."""
    door.hold()
    sends = [asyncio.create_task(fleet.send(sender, text, key=text)) for text, sender in texts.items()]
    await _until_all_held(door, len(texts))
    delivered = {each.text: each.message_id for each in ledger.read(fleet.demo.folder.ledger)}
    fleet.kill_gateway(0)
    answers = await asyncio.gather(*sends)
    assert {each.status for each in answers} == {0}, answers
    door.release()
    fleet.demo.start_gateway_again(fleet.gateways[0])
    return {text: delivered[text] for text in texts}


async def _until_all_held(door: Door, count: int) -> None:
    async with asyncio.timeout(10):
        while door.held < count:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.002)


async def _until_answered(fleet: Fleet, sender: DemoAccount, text: str) -> Answered:
    """What a well-behaved client does: the same request with the same key, at any gateway, until it is answered."""
    until_s = time.monotonic() + GIVES_UP_AFTER_S
    gateway = len(fleet.gateways) - 1
    answer = None
    while time.monotonic() < until_s:
        answer = await fleet.send(sender, text, key=text, gateway=gateway)
        if answer.status == 200:
            return answer
        await asyncio.sleep(RETRY_EVERY_S)
    raise AssertionError(f"no answer of 200 within {GIVES_UP_AFTER_S:.0f} s; the last was {answer}")
