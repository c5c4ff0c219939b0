"""Every family that can be asked what stands in a chat tells so in its own way; here it is one."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest

from homing.decide.reports.settling import bare_id
from homing.drivers.evolution import answers as evolution
from homing.drivers.histories import history_of, sha256_in
from homing.drivers.http.wire import Reply
from homing.drivers.libraries import baileys_reports, whatsapp_web_reports
from homing.model.fleet import SessionId
from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.history import HISTORY_MAX, ChatHistory, SeenMessage
from homing.ports import InstanceHealth
from simulated_gateways import MODELS
from simulated_gateways.base import Shown
from tests.drivers.test_contract import TO, There, served

SHOW_CHATS = ("evolution", "gowa", "waha", "wppconnect", "wwebjs-api")
NO_HASHES = {"gowa"}
AT_S = 1_796_000_000
SHA256 = "ab" * 32


@pytest.fixture(params=SHOW_CHATS)
async def there(request: pytest.FixtureRequest) -> AsyncIterator[There]:
    async with served(request.param) as found:
        found.add(paired=True)
        found.model.wall_clock = lambda: AT_S
        yield found


async def shown(there: There, to: str = TO) -> ChatHistory | Fault:
    return await there.driver.history(there.url, SessionId(there.name), Address(AddressKind.PHONE, to), timeout_s=5)


async def ours(there: There) -> list[SeenMessage]:
    found = await shown(there)
    assert isinstance(found, ChatHistory)
    return [each for each in found.messages if each.from_me]


async def test_what_was_sent_stands_in_its_chat_under_the_id_of_its_receipt(there: There) -> None:
    receipt = await there.send("hello")
    await there.send("elsewhere", "628000000002")
    [seen] = await ours(there)
    assert not isinstance(receipt, Fault)
    assert bare_id(seen.message_id) == bare_id(receipt.message_id)
    assert (seen.from_me, seen.at_s, seen.text) == (True, AT_S, "hello")
    assert seen.reached is not False


async def test_what_went_out_although_the_engine_failed_stands_there_too(there: There) -> None:
    assert isinstance(await there.send("sentthrow"), Fault)
    assert [seen.text for seen in await ours(there)] == ["sentthrow"]


async def test_what_the_other_one_wrote_is_not_ours(there: There) -> None:
    there.model.chats.append(Shown(there.name, TO, "3EB0FF", "hello", AT_S, from_me=False))
    assert await ours(there) == []


async def test_what_whatsapp_does_not_have_yet_says_so_where_that_is_told(there: There) -> None:
    there.model.chats.append(Shown(there.name, TO, "3EB0FF", "hello", AT_S, ack=0))
    [seen] = await ours(there)
    assert seen.reached is (None if there.family == "gowa" else False)


async def test_a_file_is_told_by_its_hash_and_never_taken_for_its_words(there: There) -> None:
    there.model.chats.append(Shown(there.name, TO, "3EB0FF", "a caption", AT_S, sha256=SHA256))
    [seen] = await ours(there)
    if there.family in NO_HASHES:
        assert (seen.file_sha256, seen.text) == (None, None)
    else:
        assert (seen.file_sha256, seen.text) == (SHA256, "a caption")


async def test_a_chat_that_shows_as_much_as_was_asked_for_may_have_more(there: There) -> None:
    for number in range(HISTORY_MAX + 5):
        there.model.chats.append(Shown(there.name, TO, f"3EB0{number:04}", f"{number}", AT_S + number))
    found = await shown(there)
    assert isinstance(found, ChatHistory) and found.cut and len(found.messages) == HISTORY_MAX
    assert max(each.at_s or 0 for each in found.messages) == AT_S + HISTORY_MAX + 4, "the newest are there"


async def test_a_chat_in_which_nobody_wrote_is_empty_and_no_fault(there: There) -> None:
    found = await shown(there)
    assert isinstance(found, ChatHistory) and found.messages == () and not found.cut
    assert found.says_at is not None


async def test_a_chat_that_cannot_be_read_is_a_fault_and_not_an_empty_one(there: There) -> None:
    there.model.fault = "garbage"
    assert isinstance(await shown(there), Fault)
    there.model.fault = "page"
    assert isinstance(await shown(there), Fault)


async def test_whoever_shows_chats_declares_it_and_nobody_else() -> None:
    for family in sorted(MODELS):
        async with served(family) as there:
            there.add(paired=True)
            health = await there.driver.health(there.url, timeout_s=5)
            assert isinstance(health, InstanceHealth)
            assert there.driver.base.read_history is health.capabilities.read_history is (family in SHOW_CHATS), family
            if family not in SHOW_CHATS:
                refused = await shown(there)
                assert isinstance(refused, Fault) and refused.phase is Phase.REQUEST_REJECTED
                assert not [path for _, path in there.model.asked if "essages" in path]


async def test_a_look_sends_nothing(there: There) -> None:
    await shown(there)
    assert there.model.sent == []


# --- single values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [None, {}, "none", 7, [{}] * 1_001])
def test_only_a_list_of_messages_is_an_answer(rows: object) -> None:
    answer = history_of(Reply(200, {}, b""), rows, lambda _: None, ())
    assert isinstance(answer, Fault) and answer.phase is Phase.REPLY_MALFORMED


def test_a_row_that_is_no_message_costs_itself_alone() -> None:
    rows = [None, 7, {}, {"id": {}}, {"id": "true_1@c.us_3EB0", "fromMe": True, "body": 5, "timestamp": "x"}]
    answer = history_of(Reply(200, {}, b""), rows, whatsapp_web_reports.seen_of, ())
    assert isinstance(answer, ChatHistory)
    assert answer.messages == (SeenMessage("true_1@c.us_3EB0", True, None, None),)


@pytest.mark.parametrize("way", ["base64", "buffer", "list", "object"])
def test_a_hash_is_read_however_json_has_its_bytes(way: str) -> None:
    digest = bytes(range(32))
    said = {
        "base64": b64encode(digest).decode(),
        "buffer": {"type": "Buffer", "data": list(digest)},
        "list": list(digest),
        "object": {str(place): byte for place, byte in enumerate(digest)},
    }[way]
    assert sha256_in(json.loads(json.dumps(said))) == digest.hex()


@pytest.mark.parametrize("said", [None, "", "AAAA", "no base64!", [1, 2], [256] * 32, {"0": 1}, {"data": []}, 7, True])
def test_what_is_no_hash_is_none(said: object) -> None:
    assert sha256_in(said) is None


def test_a_file_whose_hash_is_not_told_has_no_words_either() -> None:
    web = {"id": "true_1@c.us_3EB0", "fromMe": True, "hasMedia": True, "body": "hello"}
    baileys = {"key": {"id": "3EB0", "fromMe": True}, "message": {"imageMessage": {"caption": "hello"}}}
    for seen in (whatsapp_web_reports.seen_of(web), baileys_reports.seen_of(baileys)):
        assert seen is not None and seen.text is None and seen.file_sha256 is None


def test_the_furthest_of_several_statuses_counts() -> None:
    row = {**Shown("a", "1", "3EB0", "hello", AT_S).by_baileys}
    updates = [{"status": "READ"}, {"status": "SERVER_ACK"}, {"status": 7}, None]
    seen = evolution.seen_of({**row, "MessageUpdate": updates})
    assert seen is not None and seen.reached is True
    untold = evolution.seen_of(row)
    assert untold is not None and untold.reached is None
