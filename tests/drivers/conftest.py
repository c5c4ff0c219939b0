"""A wire under test, peers that follow a script, and a watch that nothing of either is left behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop
from scripted_peers import Peer, Serve, Talk, open_sockets

from homing.drivers.http.wire import Wire, WireLimits


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], object]]:
    """Whatever concerns the wire holds on both loops; the rest is tried on one."""
    both = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return both if item.path.name.startswith("test_wire") else {"asyncio": asyncio.new_event_loop}


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Fails the test if a task or a socket outlives the wire and the peers."""
    sockets, tasks = open_sockets(), asyncio.all_tasks()
    yield
    for _ in range(100):
        left = {task for task in asyncio.all_tasks() - tasks if task is not asyncio.current_task()}
        if not left and open_sockets() <= sockets:
            return
        await asyncio.sleep(0.01)
    assert not left
    assert open_sockets() <= sockets, "a socket was left open"


@pytest.fixture
async def serve(nothing_left: None) -> AsyncIterator[Serve]:
    """Starts a peer with a script."""
    peers: list[Peer] = []

    async def start(talk: Talk) -> Peer:
        peers.append(Peer(talk))
        return await peers[-1].start()

    yield start
    for peer in peers:
        await peer.stop()


@pytest.fixture
async def wire(nothing_left: None) -> AsyncIterator[Wire]:
    wire = Wire(WireLimits(connect_timeout_s=0.3))
    yield wire
    await wire.close()
