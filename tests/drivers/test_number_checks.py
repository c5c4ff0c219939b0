"""Every family that can be asked whether a number is on WhatsApp says so in its own way; here it is one."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from homing.drivers.checking import checked_of, the_one_in
from homing.drivers.http.wire import Reply
from homing.model.fleet import SessionId
from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.faults import Fault, Phase
from homing.ports import InstanceHealth, NumberChecked
from simulated_gateways import MODELS
from tests.drivers.test_contract import There, served

WRITTEN, KNOWN, NOBODY = "5511987654321", "551187654321", "628000000404"
TELLS_NO_ADDRESS = {"gowa"}
TRANSCRIPTS = Path(__file__).parents[1] / "fixtures" / "transcripts"


@pytest.fixture(params=sorted(MODELS))
async def there(request: pytest.FixtureRequest) -> AsyncIterator[There]:
    async with served(request.param) as found:
        found.add(paired=True)
        found.model.known_as = {WRITTEN: KNOWN, NOBODY: None}
        yield found


async def checked(there: There, digits: str) -> NumberChecked | Fault:
    return await there.driver.check_number(there.url, SessionId(there.name), digits, timeout_s=5)


async def test_the_gateway_says_under_which_address_it_knows_a_number(there: There) -> None:
    answer = await checked(there, WRITTEN)
    address = None if there.family in TELLS_NO_ADDRESS else Address(AddressKind.PHONE, KNOWN)
    assert answer == NumberChecked(exists=True, address=address)


async def test_a_number_that_nobody_has_is_no_address(there: There) -> None:
    assert await checked(there, NOBODY) == NumberChecked(exists=False)


async def test_what_cannot_be_asked_is_a_fault_and_not_a_word_about_the_number(there: There) -> None:
    there.model.sessions[there.name].open = False
    assert isinstance(await checked(there, WRITTEN), Fault)
    there.model.sessions[there.name].open = True
    there.model.fault = "garbage"
    assert isinstance(await checked(there, WRITTEN), Fault)


async def test_whoever_can_be_asked_declares_it(there: There) -> None:
    health = await there.driver.health(there.url, timeout_s=5)
    assert isinstance(health, InstanceHealth) and health.capabilities.check_numbers
    assert there.driver.base.check_numbers


async def test_a_check_sends_nothing(there: There) -> None:
    await checked(there, WRITTEN)
    assert there.model.sent == []


def test_what_was_recorded_of_baileys_api_is_read_so() -> None:
    pairs = json.loads((TRANSCRIPTS / "baileys-api.json").read_text())
    [pair] = [pair for pair in pairs if pair["case"] == "on-whatsapp"]
    reply = Reply(200, {}, b"")
    there, nobody = (checked_of(reply, row["exists"], row["jid"], ()) for row in pair["response"]["body"])
    assert there == NumberChecked(exists=True, address=Address(AddressKind.PHONE, "628000000001"))
    assert nobody == NumberChecked(exists=False)


@pytest.mark.parametrize("exists", [None, "true", 1, {}])
def test_only_a_plain_yes_or_no_is_an_answer(exists: object) -> None:
    answer = checked_of(Reply(200, {}, b""), exists, "5511987654321@c.us", ())
    assert isinstance(answer, Fault) and answer.phase is Phase.REPLY_MALFORMED


def test_a_hidden_id_is_an_address_and_a_group_is_none() -> None:
    reply = Reply(200, {}, b"")
    assert checked_of(reply, True, "123456@lid", ()) == NumberChecked(True, Address(AddressKind.LID, "123456"))
    for jid in ("123456@g.us", "x@lid", "", None, 7, {"user": "1"}, "1" * 16):
        assert checked_of(reply, True, jid, ()) == NumberChecked(True), jid


def test_an_answer_about_several_numbers_is_none_about_ours() -> None:
    assert the_one_in([{"exists": True}, {"exists": True}]) is None
    assert the_one_in([]) is None
