"""A session with an exit proxy goes out by it on every start, or not at all; each family against its model."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace

import pytest

from homing.drivers.around.exit_proxies import ExitingDriver, KnownExitProxies
from homing.model.fleet import (
    Capabilities,
    Epoch,
    InstanceUrl,
    ListedSession,
    SessionId,
    SessionStatus,
    WorkspaceId,
)
from homing.model.instances.gateways import Traits
from homing.model.sends.faults import Fault, Phase
from homing.model.sessions.exit_proxies import ExitProxy
from homing.ports import InstanceHealth, SessionStart, StoreUnavailable
from simulated_gateways import MODELS
from tests.drivers.test_contract import There, served

PROXY = ExitProxy("http", "proxy.example", 8080, "user", "pass-word")
ADDRESS = "proxy.example:8080"
TAKE = {"waha", "evolution", "wuzapi", "wppconnect"}
MADE_BEFORE = {"wuzapi"}
"""Sessions of it are not made here."""


class Known:
    """Every session's proxy is this one."""

    def __init__(self, answer: ExitProxy | str | None) -> None:
        self.answer = answer

    async def of(self, sessions: Collection[SessionId]) -> Mapping[SessionId, ExitProxy | str]:
        if self.answer is None:
            raise StoreUnavailable("the store is away")
        return dict.fromkeys(sessions, self.answer)


def exiting(there: There, answer: ExitProxy | str | None = PROXY) -> ExitingDriver:
    proxies = KnownExitProxies()
    proxies.asked = Known(answer)
    return ExitingDriver(there.driver, there.drivers.traits_of(there.family), proxies)


@pytest.fixture(params=sorted(TAKE))
async def takes(request: pytest.FixtureRequest) -> AsyncIterator[There]:
    async with served(request.param) as found:
        yield found


@pytest.fixture(params=sorted(MODELS.keys() - TAKE))
async def takes_none(request: pytest.FixtureRequest) -> AsyncIterator[There]:
    async with served(request.param) as found:
        yield found


async def test_every_way_out_of_a_session_is_by_its_proxy(takes: There) -> None:
    driver, url, about = exiting(takes), takes.url, takes.about
    if takes.family in MADE_BEFORE:
        takes.add(open=False, paired=True)
    assert isinstance(await driver.start(url, about, timeout_s=5), ListedSession)
    session = takes.model.sessions[takes.name]
    session.paired = True
    assert isinstance(await driver.restart(url, about, timeout_s=5), ListedSession)
    if takes.driver.base.stop_keeps_login:
        assert await driver.stop(url, about, timeout_s=5) is None
        started = await driver.start_many(url, [about], timeout_s=5)
        assert not isinstance(started, Fault)
        assert isinstance(started[about.session_id], ListedSession)
    assert len(takes.model.opened_by) >= 2
    assert {proxy for _, proxy in takes.model.opened_by} == {ADDRESS}


async def test_a_session_that_was_closed_gets_its_proxy_before_it_goes_out(takes: There) -> None:
    session = takes.add(open=False, paired=True)
    assert isinstance(await exiting(takes).start(takes.url, takes.about, timeout_s=5), ListedSession)
    assert session.up
    assert takes.model.opened_by == [(takes.name, ADDRESS)]


async def test_a_session_whose_proxy_is_down_stays_down(takes: There) -> None:
    takes.model.proxies_down.add(ADDRESS)
    takes.add(open=False, paired=True)
    await exiting(takes).start(takes.url, takes.about, timeout_s=5)
    row = await takes.one()
    assert isinstance(row, ListedSession)
    assert not row.can_send
    assert {proxy for _, proxy in takes.model.opened_by} <= {ADDRESS}


async def test_a_family_that_takes_no_proxy_does_not_start_a_session_that_has_one(takes_none: There) -> None:
    takes_none.add(open=False, paired=True)
    driver, url, about = exiting(takes_none), takes_none.url, takes_none.about
    answers = [
        await driver.start(url, about, timeout_s=5),
        await driver.restart(url, about, timeout_s=5),
        await driver.renew_pairing(url, about, timeout_s=5),
    ]
    many = await driver.start_many(url, [about], timeout_s=5)
    assert not isinstance(many, Fault)
    for answer in [*answers, many[about.session_id]]:
        assert isinstance(answer, Fault)
        assert answer.phase is Phase.REQUEST_REJECTED
        assert "http://***@proxy.example:8080" in answer.detail
    assert len(set(takes_none.model.asked)) <= 1, "nothing but whether it takes one"
    assert takes_none.model.opened_by == []


@pytest.mark.parametrize(("declared", "fault"), [(True, None), (False, None), (None, Phase.REFUSED)])
async def test_what_a_family_does_not_say_each_instance_says_of_itself(
    declared: bool | None, fault: Phase | None
) -> None:
    inner = _OneOfOurs(declared, fault)
    proxies = KnownExitProxies()
    proxies.asked = Known(PROXY)
    driver = ExitingDriver(inner, Traits("webjs"), proxies)  # type: ignore[arg-type]
    url, about = InstanceUrl("http://ours"), SessionStart(SessionId("alpha"), WorkspaceId(1), 1, Epoch(1))
    found = await driver.start(url, about, timeout_s=5)
    assert inner.started == ([PROXY] if declared else [])
    if fault is not None:
        assert isinstance(found, Fault)
        assert (found.phase, "whether it takes proxies is not known" in found.detail) == (fault, True)


class _OneOfOurs:
    """Declares, beyond its family, whether its sessions go out by proxies."""

    family, base, send = "webjs", Capabilities(), None

    def __init__(self, declared: bool | None, fault: Phase | None) -> None:
        self.started: list[ExitProxy | None] = []
        self._declared, self._fault = declared, fault

    async def health(self, *_: object, timeout_s: float) -> InstanceHealth | Fault:
        if self._fault is not None:
            return Fault(self._fault, "nobody listens")
        return InstanceHealth(Capabilities(takes_proxy=bool(self._declared)))

    async def start(self, _: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession:
        self.started.append(session.proxy)
        return ListedSession(session.session_id, SessionStatus.CONNECTED)


@pytest.mark.parametrize(("answer", "phase"), [(None, Phase.NOT_ATTEMPTED), ("sealed", Phase.REQUEST_REJECTED)])
async def test_a_session_is_not_started_while_its_proxy_cannot_be_told(answer: str | None, phase: Phase) -> None:
    async with served("waha") as there:
        there.add(open=False, paired=True)
        found = await exiting(there, answer).start(there.url, there.about, timeout_s=5)
        assert isinstance(found, Fault)
        assert found.phase is phase
        assert there.model.asked == []


async def test_of_many_only_those_are_kept_back_that_cannot_go_out() -> None:
    async with served("waha") as there:
        there.add(open=False, paired=True)
        other = replace(there.about, session_id=SessionId("beta"))
        proxies = KnownExitProxies()
        proxies.asked = _Only(other.session_id)
        driver = ExitingDriver(there.driver, there.drivers.traits_of("waha"), proxies)
        answers = await driver.start_many(there.url, [there.about, other], timeout_s=5)
        assert not isinstance(answers, Fault)
        assert isinstance(answers[there.about.session_id], ListedSession)
        assert isinstance(answers[other.session_id], Fault)


class _Only:
    def __init__(self, session: SessionId) -> None:
        self._session = session

    async def of(self, _: Collection[SessionId]) -> Mapping[SessionId, ExitProxy | str]:
        return {self._session: "its proxy is sealed"}


async def test_what_a_gateway_says_back_of_a_proxy_is_not_shown(takes: There) -> None:
    takes.add(open=False, paired=True)
    takes.model.says_back = True
    found = await exiting(takes).start(takes.url, takes.about, timeout_s=5)
    assert isinstance(found, Fault)
    assert "pass-word" not in f"{found} {found.detail}"
