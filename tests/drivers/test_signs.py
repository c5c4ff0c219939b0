"""How each family is told that messages were read and that somebody types."""

import json
from typing import Any

import pytest

from homing.drivers import families
from homing.drivers.http.connection import Reply
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.sends.addresses import Address
from homing.model.sends.content import MessageRef
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.signs import ReadSign, TypingSign
from simulated_gateways import MODELS
from tests.drivers.test_contract import served

CHAT, GROUP = Address.of("62811801641"), Address.of("120363041234567890@g.us")
AUTHOR = Address.of("62811801642")
SESSION = SessionId("+628111")
READ = ReadSign(CHAT, (MessageRef("3EB0A"), MessageRef("3EB0B")))
TYPES, STOPS = TypingSign(CHAT, 3.0), TypingSign(CHAT, 0.0)
JID, WID = "62811801641@s.whatsapp.net", "62811801641@c.us"

TOLD: dict[str, dict[str, tuple[str, str, dict[str, Any]]]] = {
    "waha": {
        "read": (
            "POST",
            "/api/sendSeen",
            {"session": SESSION, "chatId": WID, "messageIds": [f"false_{WID}_3EB0A", f"false_{WID}_3EB0B"]},
        ),
        "types": ("POST", "/api/startTyping", {"session": SESSION, "chatId": WID}),
        "stops": ("POST", "/api/stopTyping", {"session": SESSION, "chatId": WID}),
    },
    "evolution": {
        "read": (
            "POST",
            "/chat/markMessageAsRead/%2B628111",
            {"readMessages": [{"remoteJid": JID, "fromMe": False, "id": each} for each in ("3EB0A", "3EB0B")]},
        ),
        "types": ("POST", "/chat/sendPresence/%2B628111", {"number": JID, "presence": "composing", "delay": 3000}),
        "stops": ("POST", "/chat/sendPresence/%2B628111", {"number": JID, "presence": "paused", "delay": 0}),
    },
    "wppconnect": {
        "read": ("POST", "send-seen", {"phone": "62811801641", "isGroup": False}),
        "types": ("POST", "typing", {"phone": "62811801641", "isGroup": False, "value": True}),
        "stops": ("POST", "typing", {"phone": "62811801641", "isGroup": False, "value": False}),
    },
    "wwebjs-api": {
        "read": ("POST", "/chat/sendSeen/%2B628111", {"chatId": WID}),
        "types": ("POST", "/chat/sendStateTyping/%2B628111", {"chatId": WID}),
        "stops": ("POST", "/chat/clearState/%2B628111", {"chatId": WID}),
    },
    "wuzapi": {
        "read": ("POST", "/chat/markread", {"Id": ["3EB0A", "3EB0B"], "Chat": JID, "Sender": JID}),
        "types": ("POST", "/chat/presence", {"Phone": JID, "State": "composing", "Media": ""}),
        "stops": ("POST", "/chat/presence", {"Phone": JID, "State": "paused", "Media": ""}),
    },
    "gowa": {
        "read": ("POST", "/message/3EB0B/read", {"phone": JID}),
        "types": ("POST", "/send/chat-presence", {"phone": JID, "action": "start"}),
        "stops": ("POST", "/send/chat-presence", {"phone": JID, "action": "stop"}),
    },
    "baileys-api": {
        "read": (
            "POST",
            "/connections/%2B628111/read-messages",
            {"keys": [{"remoteJid": JID, "fromMe": False, "id": each} for each in ("3EB0A", "3EB0B")]},
        ),
        "types": ("PATCH", "/connections/%2B628111/presence", {"type": "composing", "toJid": JID}),
        "stops": ("PATCH", "/connections/%2B628111/presence", {"type": "paused", "toJid": JID}),
    },
}


@pytest.mark.parametrize("sign", ["read", "types", "stops"])
@pytest.mark.parametrize("family", sorted(TOLD))
def test_each_family_is_told_in_its_own_words(family: str, sign: str) -> None:
    driver: Any = families()[family](None)
    told = driver.sign_as_told(SESSION, {"read": READ, "types": TYPES, "stops": STOPS}[sign])
    assert (told.method, told.path, told.body) == TOLD[family][sign]


def test_every_family_with_a_model_declares_both_and_webjs_neither() -> None:
    assert set(TOLD) == set(MODELS)
    for family, driver in families().items():
        if driver.__module__.startswith("homing."):
            able = driver(None).base  # type: ignore[arg-type]
            assert (able.mark_read, able.show_typing) == (family in TOLD, family in TOLD), family


def test_in_a_group_the_author_is_named_where_that_is_needed() -> None:
    driver: Any = families()["wuzapi"](None)
    told = driver.sign_as_told(SESSION, ReadSign(GROUP, (MessageRef("3EB0A", participant=AUTHOR),)))
    assert (told.body["Chat"], told.body["Sender"]) == (str(GROUP), f"{AUTHOR}@s.whatsapp.net")


async def test_a_gateway_that_has_no_such_path_shows_nothing_and_says_so() -> None:
    async with served("waha") as there:
        there.add(paired=True)
        answer = await there.driver.show(there.url, SessionId(there.name), TYPES, timeout_s=5)
        assert isinstance(answer, Fault), "the model has no such call"


class Answering:
    """A wire at whose other end every call is answered so."""

    def __init__(self, status: int, said: dict[str, Any]) -> None:
        self.reply = Reply(status, {}, json.dumps(said).encode())
        self.told: list[tuple[str, str, dict[str, Any]]] = []

    async def call(self, method: str, _: InstanceUrl, path: str, *, body: bytes, **__: Any) -> Reply:
        self.told.append((method, path, json.loads(body)))
        return self.reply


async def test_our_own_instance_is_told_what_it_may_show() -> None:
    wire = Answering(200, {"success": True})
    driver: Any = families()["webjs"](wire)
    in_group = ReadSign(GROUP, (MessageRef("3EB0A", participant=AUTHOR),))
    for sign in (READ, in_group, TYPES):
        assert await driver.show(InstanceUrl("http://ours:1"), SESSION, sign, timeout_s=1) is None
    path = "/api/sessions/%2B628111"
    assert wire.told == [
        ("POST", f"{path}/read", {"chat": CHAT.id, "messages": [{"id": "3EB0A"}, {"id": "3EB0B"}], "api_key": ""}),
        (
            "POST",
            f"{path}/read",
            {"chat": str(GROUP), "messages": [{"id": "3EB0A", "participant": AUTHOR.id}], "api_key": ""},
        ),
        ("POST", f"{path}/typing", {"chat": CHAT.id, "seconds": 3.0, "api_key": ""}),
    ]


async def test_the_node_service_has_no_such_call_and_that_is_said() -> None:
    driver: Any = families()["webjs"](Answering(404, {"error": "Endpoint not found"}))
    answer = await driver.show(InstanceUrl("http://node:1"), SESSION, TYPES, timeout_s=1)
    assert isinstance(answer, Fault) and answer.phase is Phase.REQUEST_REJECTED
    assert "webjs cannot show this" in answer.detail
