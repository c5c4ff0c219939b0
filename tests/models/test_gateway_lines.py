"""The models' sessions on a simulated WhatsApp: what they send is judged, and who takes their place evicts them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from simulated_gateways import MODELS, Model
from simulated_gateways.base import EngineDead
from simulated_gateways.line import DeviceLine, Logins, carried_over, written
from simulated_whatsapp import ledger
from simulated_whatsapp.client import Administration
from simulated_whatsapp.server import Server, ServerSettings
from simulated_whatsapp.wire import tcp

TO = "628130000001"


class Lines:
    """Models joined to one WhatsApp."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.address = folder, server.address
        self._models: list[tuple[Model, asyncio.Task[None]]] = []

    def disk(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    async def put(self, disk: str, *sessions: str) -> None:
        """Logins of linked devices on a disk."""
        async with Administration(self.address) as whatsapp:
            linked = await whatsapp.preregister([(name, f"62812000{n:04}") for n, name in enumerate(sessions)])
        written(self.disk(disk), {each.session_id: ("628120000000", each) for each in linked})

    async def start(self, family: str, disk: str) -> Model:
        model = await MODELS[family]().start()
        line = DeviceLine(model, tcp(self.address), Logins.read(self.disk(disk)), f"http://{disk}")
        await line.settled()
        self._models.append((model, asyncio.create_task(line.run())))
        return model

    async def stop(self, model: Model) -> None:
        """Its process ends."""
        for each, task in [pair for pair in self._models if pair[0] is model]:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await each.stop()
            self._models.remove((each, task))

    async def close(self) -> None:
        for model, _ in list(self._models):
            await self.stop(model)

    def reached(self) -> list[ledger.Delivery]:
        return ledger.read(self.folder / "ledger.jsonl")


@pytest.fixture
async def lines(tmp_path: Path) -> AsyncIterator[Lines]:
    server = await Server.start(ServerSettings(ledger=tmp_path / "ledger.jsonl"))
    async with server:
        found = Lines(tmp_path, server)
        yield found
        await found.close()
    await asyncio.sleep(0.005)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - the models tell nobody
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("family", sorted(MODELS))
async def test_what_is_sent_reaches_people_under_the_gateways_own_ids(lines: Lines, family: str) -> None:
    await lines.put("one", "shop")
    model = await lines.start(family, "one")
    message_id = await model.engine(model.sessions["shop"], f"{TO}@c.us", "hello")
    [delivery] = lines.reached()
    assert (delivery.session_id, delivery.recipient, delivery.text) == ("shop", TO, "hello")
    assert delivery.message_id == message_id
    assert delivery.label == {"instance_url": "http://one", "epoch": None}


async def test_a_gateway_that_starts_again_has_its_sessions_and_goes_on_counting(lines: Lines) -> None:
    await lines.put("one", "shop")
    first = await lines.start("waha", "one")
    await first.engine(first.sessions["shop"], TO, "before")
    await lines.stop(first)
    again = await lines.start("waha", "one")
    await again.engine(again.sessions["shop"], TO, "after")
    assert [each.text for each in lines.reached()] == ["before", "after"]


async def test_who_opens_the_same_login_elsewhere_takes_its_place(lines: Lines) -> None:
    await lines.put("one", "shop")
    first = await lines.start("waha", "one")
    carried_over("shop", lines.disk("one"), lines.disk("two"))
    second = await lines.start("waha", "two")
    await until(lambda: not first.sessions["shop"].open)
    with pytest.raises(EngineDead):
        await first.engine(first.sessions["shop"], TO, "from the first")
    await second.engine(second.sessions["shop"], TO, "from the second")
    assert [each.label["instance_url"] for each in lines.reached()] == ["http://two"]


async def test_a_login_carried_over_by_hand_is_found_when_its_session_is_made_there(lines: Lines) -> None:
    await lines.put("one", "shop")
    first, second = await lines.start("waha", "one"), await lines.start("waha", "two")
    async with aiohttp.ClientSession(headers={"X-Api-Key": first.key}) as operator:
        await operator.post(f"{first.url}/api/sessions/shop/stop")
        await until(lambda: not first.sessions["shop"].open)
        await asyncio.sleep(0.2)
        carried_over("shop", lines.disk("one"), lines.disk("two"))
        await operator.post(f"{second.url}/api/sessions", json={"name": "shop"})
    await until(lambda: second.sessions["shop"].up)
    for _ in range(100):
        try:
            await second.engine(second.sessions["shop"], TO, "moved")
            break
        except EngineDead:
            await asyncio.sleep(0.02)
    assert [each.label["instance_url"] for each in lines.reached()] == ["http://two"]


async def test_a_new_session_shows_a_code_and_a_phone_links_it(lines: Lines) -> None:
    model = await lines.start("evolution", "one")
    session = model.add("fresh")
    await until(lambda: session.code is not None)
    async with Administration(lines.address) as whatsapp:
        assert session.code is not None
        await whatsapp.link(session.code, "628129990001")
    await until(lambda: session.up and session.phone == "628129990001")
    assert Logins.read(lines.disk("one")).devices.keys() == {"fresh"}


async def test_a_phone_that_removes_the_device_ends_it(lines: Lines) -> None:
    await lines.put("one", "shop")
    model = await lines.start("gowa", "one")
    async with Administration(lines.address) as whatsapp:
        await whatsapp.remove_device("shop")
    await until(lambda: model.sessions["shop"].removed)
    assert Logins.read(lines.disk("one")).devices == {}
