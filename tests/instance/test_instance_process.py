"""``homing instance`` as processes that are killed, or told to start with what cannot be."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from homing.store.vault.sealing import fresh_key

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("when", "delivered"), [("before", []), ("after", ["lost?"])])
async def test_after_a_crash_in_a_send_another_instance_goes_on(fleet, processes, when, delivered):
    await fleet.link("s1")
    process, one = await processes.instance("--fault-injection")
    await processes.start(one)
    assert (await processes.send(one, "first", "3EB00001"))[0] == 200
    await processes.post(one, "/faults", {"crash": {"on_send": 1, "when": when}})
    with pytest.raises(aiohttp.ClientConnectionError):
        await processes.send(one, "lost?", "3EB00002")
    assert await asyncio.wait_for(process.wait(), 5) == 137
    assert [entry.text for entry in fleet.ledger()] == ["first", *delivered]
    reserved = (await fleet.stored("s1")).reserved_to
    _, two = await processes.instance()
    _, started = await processes.start(two)
    assert (started["status"], started["epoch"]) == ("connected", 2)
    assert (await processes.send(two, "lost?", "3EB00002"))[0] == 200
    assert [entry.text for entry in fleet.ledger()] == ["first", "lost?"]
    assert reserved == (1 if when == "before" else 2)
    assert fleet.server.judge.devices["s1"].counter == 2, "one that was said is not said under another counter"


async def test_a_polite_end_leaves_its_sessions_to_the_next_boot(fleet, processes, eventually):
    await fleet.link("s1")
    process, one = await processes.instance("--url", "http://the-one")
    port = _listening_port(process.pid)
    await processes.start(f"http://localhost:{port}")
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert (await process.stderr.read()).decode() == ""
    assert (await fleet.whatsapp.stats())["connected"] == 0
    await processes.instance("--url", one)
    stats = {"connected": 0}
    async with asyncio.timeout(5):
        while stats["connected"] != 1:
            await asyncio.sleep(0.01)
            stats = await fleet.whatsapp.stats()


async def test_a_taken_port_is_one_sentence_and_exit_code_2(fleet, processes):
    _, url = await processes.instance()
    port = int(url.rpartition(":")[2])
    process, said = await processes.instance(port=port)
    assert await asyncio.wait_for(process.wait(), 5) == 2
    assert said == f"Cannot listen on localhost:{port}: Address already in use.\n"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"HOMING_VAULT_KEY": ""}, "HOMING_VAULT_KEY is not set; `homing db vault-key` makes one"),
        ({"HOMING_VAULT_KEY": "test:c2hvcnQ="}, "the key 'test' has 5 bytes"),
        ({"HOMING_VAULT_KEY": str(fresh_key("test"))}, "the vault key 'test' is not the one of this name"),
        ({"HOMING_VAULT_KEY": str(fresh_key("new"))}, "the vault key 'test' is not at hand"),
        ({"HOMING_VAULT_OLD_KEYS": "nothing"}, "HOMING_VAULT_OLD_KEYS cannot be used"),
        ({"HOMING_LEASE_EXPIRY": "3"}, "HOMING_LEASE_SELF_FENCE must be shorter"),
        ({"HOMING_LEASE_HEARTBEAT": "3"}, "one lost renewal would pause an instance"),
        ({"HOMING_DATABASE_URL": "mysql://x"}, "no database of the kind 'mysql' is supported"),
    ],
)
async def test_what_cannot_be_is_refused_at_the_start_in_one_sentence(fleet, processes, environment, sentence):
    await fleet.link("s1")
    process, said = await processes.instance(environment=environment)
    assert await asyncio.wait_for(process.wait(), 10) == 2
    assert sentence in said
    assert said.count("\n") == 1


def _listening_port(pid: int) -> int:
    """The port that a process listens on, from the kernel's tables."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:
            return int(fields[1].rpartition(":")[2], 16)
    raise AssertionError("it does not listen")
