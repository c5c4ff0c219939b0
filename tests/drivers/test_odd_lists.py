"""Lists as gateways on bad days give them: of any family, whatever is in it is reported, and a good row is read."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import structs

from homing.drivers import drivers_over
from homing.drivers.http.wire import MIB, Reply, StreamedBody, Wire, WireLimits
from homing.model.fleet import InstanceUrl, Listing, NoList, SessionId, SessionList, SessionStatus
from homing.model.sends.faults import Fault, Phase
from simulated_gateways import MODELS, Model

LISTING = sorted(MODELS.keys() - {"baileys-api"})
"""baileys-api gives no list."""
SAY_MORE_THAN_NAMES = ["evolution", "gowa", "waha", "wuzapi"]
Bend = Callable[[list[Any]], Any]


class BentWire:
    """A wire behind which every list of sessions is what `bend` makes of it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.bend: Bend | None = None

    async def call(
        self,
        method: str,
        base_url: str,
        path: str,
        *,
        body: bytes | StreamedBody | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        body_limit_bytes: int = MIB,
    ) -> Reply | Fault:
        reply = await self._wire.call(
            method, base_url, path, body=body, headers=headers, timeout_s=timeout_s, body_limit_bytes=body_limit_bytes
        )
        if self.bend is None or isinstance(reply, Fault) or method != "GET" or b"alpha" not in reply.body:
            return reply
        said = json.loads(reply.body)
        bent = self._bent(said)
        whole = reply.body if bent is said else json.dumps(bent).encode()
        if len(whole) > body_limit_bytes:
            return Fault(Phase.REPLY_MALFORMED, "too large")
        return structs.replace(reply, body=whole)

    def _bent(self, said: Any) -> Any:
        assert self.bend is not None
        if isinstance(said, list):
            return self.bend(said)
        if isinstance(said, dict):
            for name, value in said.items():
                if isinstance(value, list) and value:
                    return {**said, name: self.bend(value)}
        return said


@asynccontextmanager
async def listing(family: str) -> AsyncIterator[Callable[[Bend], Any]]:
    """Lists of a family's model with one session, `alpha`, that is connected."""
    model: Model = await MODELS[family]().start()
    model.add("alpha", paired=True)
    wire = Wire(WireLimits(connect_timeout_s=1))
    bent = BentWire(wire)
    driver = drivers_over(bent, default_api_key=model.key).of(family)

    async def listed(bend: Bend) -> Listing:
        bent.bend = bend
        return await driver.sessions(InstanceUrl(model.url), timeout_s=30)

    try:
        yield listed
    finally:
        await wire.close()
        await model.stop()


def good(found: Listing) -> bool:
    assert isinstance(found, SessionList), found
    return found.sessions[SessionId("alpha")].status is SessionStatus.CONNECTED


@pytest.mark.parametrize("family", LISTING)
async def test_nulls_numbers_and_rows_that_come_twice_are_reported_and_harm_no_other(family: str) -> None:
    async with listing(family) as listed:
        found = await listed(lambda rows: [None, 7, "", {}, [1], *rows, *rows, True])
        assert good(found)
        oddities = " ".join(found.oddities)
        assert "names no session" in oddities and "more than once" in oddities


@pytest.mark.parametrize("family", SAY_MORE_THAN_NAMES)
async def test_values_that_no_row_should_have_are_reported(family: str) -> None:
    def odd(rows: list[Any]) -> list[Any]:
        [row] = rows
        words = {name: "ON_FIRE" for name, value in row.items() if isinstance(value, str | bool) and value != "alpha"}
        names = {name: "beta" for name, value in row.items() if value == "alpha"}
        return [{**row, **words, **names}, {**dict.fromkeys(row), **names}, row]

    async with listing(family) as listed:
        found = await listed(odd)
        assert good(found)
        assert not found.sessions[SessionId("beta")].can_send
        assert any("beta" in oddity or "ON_FIRE" in oddity for oddity in found.oddities)


@pytest.mark.parametrize("family", LISTING)
@pytest.mark.parametrize(
    "bend",
    [
        lambda rows: {"data": rows, "page": 1, "next": "/page/2"},
        lambda rows: {"total": 1, "items": {"first": rows}},
        lambda _: None,
        lambda _: 7,
        lambda _: "alpha",
    ],
    ids=["a page", "rows by name", "null", "a number", "a word"],
)
async def test_what_is_no_list_proves_nothing(family: str, bend: Bend) -> None:
    """A page of a list is no list of what is there: sessions of other pages would count as gone."""
    async with listing(family) as listed:
        found = await listed(bend)
        assert isinstance(found, NoList) and found.fault is not None
        assert found.fault.phase is Phase.REPLY_MALFORMED


@pytest.mark.parametrize("family", ["evolution", "waha"])
async def test_fifty_megabytes_are_read(family: str) -> None:
    def long(rows: list[Any]) -> list[Any]:
        [row] = rows
        names = [name for name, value in row.items() if value == "alpha"]
        of_one = len(json.dumps(row)) + 1_000
        padding = {"metadata": "x" * 1_000}
        return [row, *({**row, **dict.fromkeys(names, f"s-{n}"), **padding} for n in range(50 * MIB // of_one))]

    async with listing(family) as listed:
        found = await listed(long)
        assert good(found)
        assert len(found.sessions) > 20_000
