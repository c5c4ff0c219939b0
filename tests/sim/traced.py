"""A busy little story, run as a program by the tests: prints its fingerprint."""

import asyncio
import sys

from model_instances import ModelInstance
from wired_network import Network, TransportUpset

from homing.drivers.http.wire import Wire, WireLimits
from homing.drivers.webjs.driver import WebjsDriver
from homing.lab.sim.loop import current_loop, run
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.fleet import NEVER_GRANTED, InstanceUrl, SessionId, SessionStatus, WorkspaceId
from homing.ports import OutgoingText

URLS = [InstanceUrl(f"http://host-{number}:3001") for number in range(3)]


async def story(seed: int) -> str:
    """Sends through three instances over a bad network, with every kind of set and group on the way."""
    loop, network, entropy = current_loop(), Network(seed), SeededEntropy(seed, VirtualClock())
    instances = [ModelInstance(network, url) for url in URLS]
    wire = Wire(WireLimits(connections=3, connect_timeout_s=1), connect=network.connect)
    driver = WebjsDriver(wire)

    async def send(number: int) -> None:
        url = URLS[number % 3]
        session = SessionId(f"session-{number % 5}")
        instances[number % 3].sessions[session] = SessionStatus.CONNECTED
        await asyncio.sleep(entropy.random())
        if entropy.random() < 0.2:
            instances[number % 3].conditions.upsets.append(entropy_choice(entropy))
        text = OutgoingText(session, WorkspaceId(1), "62811", f"text {number}", entropy.uuid(), NEVER_GRANTED)
        loop.note(f"{number} {await driver.send(url, text, timeout_s=2)}")

    await asyncio.wait({asyncio.create_task(send(number)) for number in range(60)})
    try:
        async with asyncio.timeout(1), asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(lingering(number))
    except TimeoutError:
        loop.note("gave up")
    await wire.close()
    for instance in instances:
        loop.note(repr(instance.sent))
    return f"{loop.trace_hash()} {loop.steps} {loop.time():.9f}"


def entropy_choice(entropy: SeededEntropy) -> TransportUpset:
    return list(TransportUpset)[int(entropy.random() * len(TransportUpset))]


async def lingering(number: int) -> None:
    try:
        await asyncio.sleep(1_000)
    finally:
        current_loop().note(f"{number} was cancelled")
        await asyncio.sleep(0)


if __name__ == "__main__":
    print(run(story(int(sys.argv[1])), seed=int(sys.argv[1])))
