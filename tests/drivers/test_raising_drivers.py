"""A driver that raises, which none may, fails the one call and nothing around it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from homing.drivers.around.metered import MeteredDriver
from homing.model.fleet import Capabilities, Epoch, InstanceUrl, NoList, SessionId, WorkspaceId
from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.signs import TypingSign
from homing.ports import OutgoingText, SessionStart
from homing.serve.metrics import Metrics

AT, ANN = InstanceUrl("http://a:3001"), SessionId("ann")
START = SessionStart(ANN, WorkspaceId(1), 7, Epoch(1))
TYPING = TypingSign(Address(AddressKind.PHONE, "6281"), 5.0)
TEXT = OutgoingText(ANN, WorkspaceId(1), "6281", "hello", "3EB0", Epoch(1))


class RaisingDriver:
    """Somebody else's, with a fault in it."""

    family, base = "relay", Capabilities()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name == "webhooks":
            raise AttributeError(name)

        async def raises(*_: Any, **__: Any) -> Any:
            raise KeyError("a key: secret")

        return raises


CALLS: dict[str, Callable[[MeteredDriver], Awaitable[object]]] = {
    "health": lambda driver: driver.health(AT, timeout_s=1.0),
    "session": lambda driver: driver.session(AT, ANN, timeout_s=1.0),
    "send": lambda driver: driver.send(AT, TEXT, timeout_s=1.0),
    "start": lambda driver: driver.start(AT, START, timeout_s=1.0),
    "start_many": lambda driver: driver.start_many(AT, [START], timeout_s=1.0),
    "stop": lambda driver: driver.stop(AT, START, timeout_s=1.0),
    "restart": lambda driver: driver.restart(AT, START, timeout_s=1.0),
    "logout": lambda driver: driver.logout(AT, START, timeout_s=1.0),
    "pairing": lambda driver: driver.pairing(AT, START, timeout_s=1.0),
    "renew_pairing": lambda driver: driver.renew_pairing(AT, START, timeout_s=1.0),
    "check_number": lambda driver: driver.check_number(AT, ANN, "6281", timeout_s=1.0),
    "show": lambda driver: driver.show(AT, ANN, TYPING, timeout_s=1.0),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_whose_driver_raises_is_a_fault_that_may_have_done_it(call: str) -> None:
    met = await CALLS[call](MeteredDriver(RaisingDriver(), Metrics()))  # type: ignore[arg-type]
    assert isinstance(met, Fault)
    assert met.phase is Phase.REPLY_MALFORMED
    assert "KeyError" in met.detail
    assert "secret" not in met.detail


async def test_a_list_whose_driver_raises_is_no_list() -> None:
    met = await MeteredDriver(RaisingDriver(), Metrics()).sessions(AT, timeout_s=1.0)  # type: ignore[arg-type]
    assert isinstance(met, NoList)
    assert met.fault is not None


async def test_what_was_raised_is_in_the_log_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    await MeteredDriver(RaisingDriver(), Metrics()).health(AT, timeout_s=1.0)  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert "A driver raised" in said
    assert "test_raising_drivers.py" in said
