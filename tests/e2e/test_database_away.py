"""PostgreSQL falls silent for a running gateway: what is known goes on, what is not is refused, nothing hangs."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import make_url

from bench.fleet import Answered, Fleet, open_fleet
from homing.flows.background.readiness import PROVE_EVERY_S
from tcp_proxy import TcpProxy, tcp_proxy

pytestmark = pytest.mark.e2e

REFUSED_WITHIN_S = 2.0
MARGIN_S = 0.5
RECOVERS_WITHIN_S = 10.0


@pytest.fixture
async def proxy(empty_postgres_url: str) -> AsyncIterator[TcpProxy]:
    """The gateway's only way to its database. The instances, whose vault it is, have another one."""
    url = make_url(empty_postgres_url)
    async with tcp_proxy(str(url.host), url.port or 5432) as proxy:
        yield proxy


@pytest.fixture
async def fleet(empty_postgres_url: str, proxy: TcpProxy) -> AsyncIterator[Fleet]:
    url = make_url(empty_postgres_url).set(host="127.0.0.1", port=proxy.port)
    proxied = url.render_as_string(hide_password=False)
    async with open_fleet(database_url=empty_postgres_url, gateway_database_url=proxied, accounts=8, contacts=3) as up:
        yield up
        proxy.thaw()


async def test_sends_on_known_routes_go_on_and_others_are_refused_until_it_is_back(
    fleet: Fleet, proxy: TcpProxy
) -> None:
    known, unknown = fleet.residents[:4], fleet.residents[4:]
    warm = [await fleet.send(each) for each in known]
    assert [each.status for each in warm] == [200] * 4
    proxy.freeze()
    for _ in range(3):
        on, off = await asyncio.gather(
            asyncio.gather(*(fleet.send(each) for each in known * 5)),
            asyncio.gather(*(fleet.send(each) for each in unknown * 5)),
        )
        assert {each.status for each in on} == {200}
        assert max(each.took_s for each in on) < REFUSED_WITHIN_S
        refused(off)
    refused([await fleet.send(known[0], key="a key has to be looked up")])
    proxy.thaw()
    await sends_again(fleet)
    assert fleet.lost_and_doubled() == (0, 0)
    assert await fleet.figure("homing_sends_in_progress") == 0


async def test_a_session_lost_while_the_directory_is_silent_is_refused_then_found(
    fleet: Fleet, proxy: TcpProxy
) -> None:
    mover = fleet.residents[0]
    other = next(url for url in fleet.demo.instances if url != mover.instance_url)
    assert (await fleet.send(mover)).status == 200
    proxy.freeze()
    await fleet.start_elsewhere([mover], other)
    refused([await fleet.send(mover)], within_s=12.0)
    proxy.thaw()
    found = await until_sent(fleet, mover.uuid)
    assert (found.document["instance_url"], found.document["failover"]) == (other, True)


async def test_a_gateway_says_that_it_is_not_ready_while_the_directory_is_silent(fleet: Fleet, proxy: TcpProxy) -> None:
    assert (await fleet.call("GET", "/ready"))[0] == 200
    proxy.freeze()
    await asyncio.sleep(PROVE_EVERY_S)  # so long may the last proof be believed
    began_s = time.monotonic()
    status, said = await fleet.call("GET", "/ready")
    assert (status, said["status"]) == (503, "directory unavailable")
    assert time.monotonic() - began_s < REFUSED_WITHIN_S + MARGIN_S
    assert (await fleet.call("GET", "/health"))[0] == 200
    proxy.thaw()
    await fleet.ready()


def refused(answers: list[Answered], within_s: float = REFUSED_WITHIN_S) -> None:
    assert [(each.status, each.document.get("code")) for each in answers] == [(503, "directory_unavailable")] * len(
        answers
    )
    assert max(each.took_s for each in answers) < within_s + MARGIN_S


async def sends_again(fleet: Fleet) -> None:
    for resident in fleet.residents:
        await until_sent(fleet, resident.uuid)


async def until_sent(fleet: Fleet, account_uuid: str) -> Answered:
    """The first answer of 200 to an account's sends, once the directory is back."""
    resident = next(each for each in fleet.residents if each.uuid == account_uuid)
    deadline_s = time.monotonic() + RECOVERS_WITHIN_S
    while (answer := await fleet.send(resident)).status != 200:
        assert time.monotonic() < deadline_s, answer
        await asyncio.sleep(0.1)
    return answer
