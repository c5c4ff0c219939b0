"""Which of a host's addresses is used, and what it means when none answers."""

import asyncio
import errno
import socket
import ssl

import pytest
from scripted_peers import Serve, answer, saying

from homing.decide.fleet.addresses import Reachable
from homing.drivers.http.resolving import Dialer, Made, Resolve, _first_to_answer, unreached
from homing.drivers.http.wire import Reply, Wire
from homing.model.sends.faults import Fault, Phase

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
NO_ROUTE = OSError(errno.ENETUNREACH, "no route")
RESET = ConnectionResetError(errno.ECONNRESET, "reset")
SILENT = TimeoutError(errno.ETIMEDOUT, "timed out")


class Line(asyncio.Transport):
    """A connection that remembers whether it was closed."""

    closed = False

    def abort(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("errors", "telling"),
    [
        ([NO_ROUTE, REFUSED], REFUSED),
        ([REFUSED, NO_ROUTE], REFUSED),
        ([REFUSED, RESET], RESET),
        ([REFUSED, ssl.SSLError(1, "bad")], None),
        ([REFUSED, SILENT], SILENT),
        ([NO_ROUTE, NO_ROUTE], NO_ROUTE),
    ],
)
async def test_of_several_failures_the_most_telling_is_told(errors: list[OSError], telling: OSError | None) -> None:
    async def fail(address: str) -> Made:
        raise errors[int(address)]

    with pytest.raises(OSError) as met:
        await _first_to_answer([str(number) for number in range(len(errors))], fail)
    assert met.value is (telling or errors[1])


async def test_a_slow_address_does_not_hold_up_the_next_and_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homing.drivers.http.resolving.STAGGER_S", 0.01)
    let_go = asyncio.Event()

    async def open_one(address: str) -> Made:
        if address == "quick":
            return Line(), asyncio.Protocol()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            let_go.set()
            raise
        raise AssertionError

    winner, _ = await _first_to_answer(["slow", "quick"], open_one)
    assert winner == "quick"
    await asyncio.wait_for(let_go.wait(), 1.0)


async def test_a_connection_that_came_second_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homing.drivers.http.resolving.STAGGER_S", 0.0)
    go, lines = asyncio.Event(), [Line(), Line()]

    async def open_one(address: str) -> Made:
        await go.wait()
        return lines[int(address)], asyncio.Protocol()

    racing = asyncio.create_task(_first_to_answer(["0", "1"], open_one))
    await asyncio.sleep(0.01)
    go.set()
    winner, _ = await racing
    await asyncio.sleep(0)
    assert [line.closed for line in lines] == [winner != "0", winner != "1"]


async def test_addresses_are_remembered_until_one_fails(serve: Serve, nothing_left: None) -> None:
    peer, asked = await serve(saying(answer())), []
    port = int(peer.url.rpartition(":")[2])
    now_at = ["127.0.0.1"]

    async def resolve(host: str) -> list[str]:
        asked.append(host)
        return list(now_at)

    dialer = Dialer(resolve=resolve)

    async def connect(to: int) -> None:
        transport, _ = await dialer("gateway.example", to, None, asyncio.Protocol)
        transport.abort()

    await connect(port)
    await connect(port)
    assert asked == ["gateway.example"]
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            await connect(unheard.getsockname()[1])
    # Once more before it was called unreachable, and, as that did not help, once more afterwards.
    await connect(port)
    assert asked == ["gateway.example"] * 3


async def test_a_name_is_looked_up_once_for_all_who_wait_for_it(serve: Serve, nothing_left: None) -> None:
    peer, asked = await serve(saying(answer())), []

    async def resolve(host: str) -> list[str]:
        asked.append(host)
        await asyncio.sleep(0.01)
        return ["127.0.0.1"]

    dialer, port = Dialer(resolve=resolve), int(peer.url.rpartition(":")[2])
    first = asyncio.create_task(dialer("gateway.example", port, None, asyncio.Protocol))
    others = [asyncio.create_task(dialer("gateway.example", port, None, asyncio.Protocol)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    for transport, _ in await asyncio.gather(*others):
        transport.abort()
    assert asked == ["gateway.example"]


def resolver(asked: list[str], *answers: list[str]) -> Resolve:
    """Answers so, one after the other, the last one for ever."""

    async def resolve(host: str) -> list[str]:
        asked.append(host)
        return list(answers[min(len(asked), len(answers)) - 1])

    return resolve


async def test_a_name_that_moved_is_followed_before_it_is_called_unreachable(serve: Serve, nothing_left: None) -> None:
    peer, asked = await serve(saying(answer())), list[str]()
    port = int(peer.url.rpartition(":")[2])
    dialer = Dialer(resolve=resolver(asked, ["127.0.0.9"], ["127.0.0.1"]))
    dialer._remember("gateway.example", await dialer._look_up("gateway.example"))  # where it was a moment ago
    transport, _ = await dialer("gateway.example", port, None, asyncio.Protocol)
    assert transport.get_extra_info("peername")[0] == "127.0.0.1"
    transport.abort()
    assert asked == ["gateway.example"] * 2


async def test_an_address_that_fell_silent_is_not_waited_for_while_the_name_leads_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, tried = list[str](), list[str]()
    monkeypatch.setattr("homing.drivers.http.resolving.ASK_AGAIN_S", 0.01)
    dialer = Dialer(resolve=resolver(asked, ["10.0.0.9"], ["10.0.0.1"]))

    async def connect(_factory: object, address: str, _port: int, **_: object) -> Made:
        tried.append(address)
        if address == "10.0.0.9":
            await asyncio.Event().wait()
        return Line(), asyncio.Protocol()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
    dialer._remember("gateway.example", await dialer._look_up("gateway.example"))
    async with asyncio.timeout(2):
        await dialer("gateway.example", 80, None, asyncio.Protocol)
    assert tried == ["10.0.0.9", "10.0.0.1"]


async def test_a_wait_without_an_answer_forgets_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()
    dialer = Dialer(resolve=resolver(asked, ["10.0.0.9"]))

    async def connect(*_: object, **__: object) -> Made:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await dialer("gateway.example", 80, None, asyncio.Protocol)
    assert asked == ["gateway.example"] * 2


async def test_a_connection_is_not_used_for_longer_than_its_name_may_be_believed(
    serve: Serve, nothing_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homing.drivers.http.resolving.LIVES_S", 0.15)
    peer = await serve(saying(answer()))
    port = peer.url.rpartition(":")[2]
    wire = Wire(dialer=Dialer(resolve=resolver([], ["127.0.0.1"]), remember_s=0.0))
    began_s = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - began_s < 0.4:
        assert isinstance(await wire.call("GET", f"http://gateway.example:{port}", "/", timeout_s=2), Reply)
    assert 3 <= peer.connections <= 4
    await wire.close()


async def test_an_address_does_not_move() -> None:
    dialer = Dialer()
    assert dialer.lives_until("10.0.0.1") == dialer.lives_until("localhost") == float("inf")
    assert dialer.lives_until("gateway.example") < float("inf")


@pytest.mark.parametrize(
    ("error", "phase"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), Phase.NAME_NOT_RESOLVED),
        (UnicodeError("label too long"), Phase.NAME_NOT_RESOLVED),
        (REFUSED, Phase.REFUSED),
        (SILENT, Phase.CONNECT_TIMED_OUT),
        (RESET, Phase.CONNECT_BROKEN),
        (NO_ROUTE, Phase.CONNECT_BROKEN),
        (OSError(errno.EMFILE, "Too many open files"), Phase.NOT_ATTEMPTED),
        (OSError(errno.ENOBUFS, "No buffer space available"), Phase.NOT_ATTEMPTED),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), Phase.NOT_ATTEMPTED),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), Phase.CONNECT_BROKEN),
    ],
)
def test_a_failure_to_connect_has_its_phase(error: Exception, phase: Phase) -> None:
    fault = unreached(error)
    assert fault.phase is phase
    assert fault.detail


async def test_a_name_that_leads_to_a_metadata_address_is_not_called() -> None:
    async def resolve(_: str) -> list[str]:
        return ["10.0.0.1", "169.254.169.254"]

    wire = Wire(dialer=Dialer(resolve=resolve, refused=Reachable().refused))
    for url in ("http://wa.example:80", "http://169.254.169.254", "http://[fe80::1]:3001"):
        answer = await wire.call("GET", url, "/latest/meta-data", timeout_s=5)
        assert isinstance(answer, Fault)
        assert answer.phase is Phase.MISDIRECTED
        assert "tells machines their credentials" in answer.detail
    await wire.close()
