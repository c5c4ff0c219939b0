"""What gateways of other families report, from outside: believed, stored once, followed, and settling."""

import asyncio
import json
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from structlog.testing import capture_logs

from homing.decide.fleet.own_keys import report_secret
from homing.model.instances.events import Event
from simulated_gateways import Model
from simulated_gateways.base import Told
from simulated_gateways.evolution import Evolution
from simulated_gateways.waha import Waha
from tests.serve import test_foreign_gateways as foreign

fleet, at, only = foreign.fleet, foreign.at, foreign.only
ALL = [family for family in foreign.ALL if family != "webjs"]
TELLING = [family for family in ALL if family not in ("wuzapi", "gowa")]


class Telling:
    """The first instance of a family, with a session that reports to us as its owner would set that up."""

    def __init__(self, fleet: foreign.Fleet, family: str, account: dict[str, Any]) -> None:
        self.fleet, self.family, self.account = fleet, family, account
        self.model: Model = fleet.models[family][0]
        [self.name] = self.model.sessions
        self.secret = report_secret(fleet.gateway.settings.own_key_secret, at(self.model))

    def aim(self, path: str | None = None, **kept: Any) -> None:
        """By the address with its secret, unless another one is given."""
        where = path or f"/in/{at(self.model).removeprefix('http://')}/secret/{self.secret}/{self.name}"
        self.model.hooks[self.name] = [{"url": where, **kept}]
        self.model.post = self._post

    async def _post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        self.answer = await self.fleet.client.post(path, content=body, headers=headers)
        return self.answer.status_code

    async def tell(self, what: str, **about: Any) -> int:
        [status] = await self.model.report(self.name, Told(what, **about))
        return status

    async def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        found = (await self.fleet.call("GET", f"/events?session_id={quote(self.account['session_id'])}")).json()["data"]
        return [each for each in found if kind in (None, each["kind"])]


async def telling(fleet: foreign.Fleet, family: str) -> Telling:
    made = Telling(fleet, family, await fleet.taken_up(family))
    made.aim()
    return made


async def test_a_message_that_arrives_is_one_event_of_one_shape_whatever_the_family(fleet: foreign.Fleet) -> None:
    for family in ALL:
        one = await telling(fleet, family)
        assert await one.tell("incoming") == 200, (family, one.answer.text)
        assert await one.tell("incoming") == 200
        assert one.answer.json()["duplicate"] is True
        [event] = await one.events()
        message = event["payload"]["message"]
        assert (event["kind"], event["instance_url"]) == ("message_received", at(one.model)), family
        assert (event["account_uuid"], event["workspace_id"]) == (one.account["uuid"], 1)
        assert (message["body"], message["from_me"], message["chat_type"]) == ("an incoming text", False, "private")
        assert message["from"].partition("@")[0] == "628000000001" and "3EB0AAAABBBB" in message["id"]
        assert event["occurred_at"].startswith("2026-11-30")


async def test_each_new_event_is_heard_once_by_whoever_wants_to_know(fleet: foreign.Fleet) -> None:
    heard: list[Event] = []
    fleet.gateway.intake._intake.heard.append(heard.append)
    for family in ALL:
        one = await telling(fleet, family)
        for _ in range(2):
            await one.tell("incoming")
            await one.tell("ack", message_id="3EB0CCCC")
    assert [event.kind for event in heard] == ["message_received", "message_status_updated"] * len(ALL)
    assert {event.payload["ack_level"] for event in heard[1::2]} == {3}
    assert all(event.account_uuid for event in heard)


@only(*TELLING)
async def test_what_is_told_of_a_session_is_looked_at(fleet: foreign.Fleet) -> None:
    for family in TELLING:
        one = await telling(fleet, family)
        before = len([each for each in one.model.asked if each[0] == "GET"])
        offered: list[Any] = []
        fleet.gateway.intake._intake._hints.offer = offered.append  # type: ignore[method-assign]
        for what in ("down", "up", "logged_out", "qr"):
            assert await one.tell(what) == 200
        kinds = [hint.kind for hint in offered]
        assert kinds[1] == "session_ready" and len(kinds) == 4, (family, kinds)
        assert all(hint.sender == at(one.model) for hint in offered)
        assert before >= 0


@only("waha", "evolution", "wwebjs-api", "wppconnect")
async def test_a_session_that_was_moved_by_hand_is_found_by_its_own_report(fleet: foreign.Fleet) -> None:
    for family, (first, second) in fleet.models.items():
        one = await telling(fleet, family)
        second.sessions[one.name] = first.sessions.pop(one.name)
        one.model = second
        one.secret = report_secret(fleet.gateway.settings.own_key_secret, at(second))
        one.aim()
        assert await one.tell("up") == 200
        for _ in range(60):
            if (await fleet.placement(one.account))[0] == at(second):
                break
            await asyncio.sleep(0.1)
        assert (await fleet.placement(one.account))[0] == at(second), family


@only("waha", "evolution", "wwebjs-api", "baileys-api")
async def test_an_unknown_send_is_settled_by_the_report_of_what_went_out(fleet: foreign.Fleet) -> None:
    for family in fleet.models:
        one = await telling(fleet, family)
        answer = await fleet.send(one.account, "sentthrow")
        assert answer.json()["outcome"] == "unknown", family
        import time

        assert (
            await one.tell("sent", text="sentthrow", message_id=f"3EB0{len(family):08}", at_s=int(time.time())) == 200
        )
        kept = (await fleet.call("GET", f"/messages/{answer.json()['message_uuid']}")).json()
        assert kept["state"] == "sent", (family, kept)


async def test_a_successful_send_settles_no_earlier_unknown_one(fleet: foreign.Fleet) -> None:
    """Its report names another id than its answer did: WAHA answers `3EB0…` and reports `true_628…@c.us_3EB0…`."""
    one = await telling(fleet, "waha")
    unknown = await fleet.send(one.account, "sentthrow")
    sent = await fleet.send(one.account, "hello")
    message_id = sent.json()["data"]["message_id"]
    await one.tell("sent", text="sentthrow", message_id=message_id, at_s=int(time.time()))
    kept = (await fleet.call("GET", f"/messages/{unknown.json()['message_uuid']}")).json()
    assert kept["state"] == "unknown"


# --- who is believed ---


@only(*ALL)
async def test_without_a_proof_401_and_nothing_is_stored(fleet: foreign.Fleet) -> None:
    for family in ALL:
        one = await telling(fleet, family)
        bare = json.dumps(one.model.body_of(one.model.sessions[one.name], Told("incoming"))).encode()
        ref = at(one.model).removeprefix("http://")
        for path in (f"/in/{ref}/webhooks", f"/in/{ref}/secret/{'x' * 32}", f"/in/{ref}/secret/{one.secret[:-1]}"):
            without = b'{"apikey":null,' + bare[1:] if family == "evolution" else bare
            answer = await fleet.client.post(path, content=without.replace(b'"apikey": "TOKEN', b'"no": "TOKEN'))
            assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid"), (family, path)
            assert one.secret not in answer.text
        assert await one.events() == []


async def test_the_secret_of_one_instance_opens_no_other_one(fleet: foreign.Fleet) -> None:
    one = await telling(fleet, "wppconnect")
    other = fleet.models["wppconnect"][1]
    one.aim(f"/in/{at(other).removeprefix('http://')}/secret/{one.secret}")
    assert await one.tell("incoming") == 401
    assert await one.events() == []


@only("waha")
async def test_wahas_signature_alone_is_enough_and_a_wrong_one_too_much(fleet: foreign.Fleet) -> None:
    one = await telling(fleet, "waha")
    ref = at(one.model).removeprefix("http://")
    one.aim(f"/in/{ref}/webhooks", hmac={"key": one.secret})
    assert await one.tell("incoming") == 200
    one.aim(f"/in/{ref}/webhooks", hmac={"key": "secret"})
    assert await one.tell("incoming", message_id="3EB0SHARED") == 200, "the secret of the fleet signs as well"
    one.aim(hmac={"key": "guess"})
    assert await one.tell("incoming", message_id="3EB0OTHER") == 401, "although its address is the right one"
    assert isinstance(one.model, Waha)
    one.model.signs = False
    assert await one.tell("incoming", message_id="3EB0CORE") == 200, "Core does not sign: its address proves it"
    assert len(await one.events()) == 3


@only("evolution")
async def test_evolutions_token_is_compared_with_that_of_its_session_and_not_kept(fleet: foreign.Fleet) -> None:
    one = await telling(fleet, "evolution")
    ref = at(one.model).removeprefix("http://")
    one.aim(f"/in/{ref}/webhooks")
    assert await one.tell("incoming") == 200, one.answer.text
    [event] = await one.events()
    assert "TOKEN-OF" not in json.dumps(event)
    assert isinstance(one.model, Evolution)
    asked = len(one.model.asked)
    guess = {"event": "messages.upsert", "instance": one.name, "apikey": "guess", "data": {}}
    for _ in range(20):
        answer = await fleet.client.post(f"/in/{ref}/webhooks", json=guess)
        assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
    assert len(one.model.asked) - asked <= 1, "whoever guesses does not have its gateway asked each time"
    one.model.shows_tokens = False
    assert await one.tell("incoming", message_id="3EB0HIDDEN") == 401


@only("evolution")
async def test_a_token_that_cannot_be_asked_for_now_has_the_report_come_again(fleet: foreign.Fleet) -> None:
    one = await telling(fleet, "evolution")
    one.aim(f"/in/{at(one.model).removeprefix('http://')}/webhooks")
    await one.model.stop()
    assert await one.tell("incoming") == 429
    assert one.answer.json()["code"] == "intake_busy" and one.answer.headers["Retry-After"]


# --- poison ---


@only(*ALL)
async def test_poison_harms_nobody_and_is_never_our_fault(fleet: foreign.Fleet) -> None:
    for family in ALL:
        one = await telling(fleet, family)
        ref = at(one.model).removeprefix("http://")
        path = f"/in/{ref}/secret/{one.secret}/{one.name}"
        told = [
            b"",
            b"null",
            b"[1,2]",
            b'{"event":',
            b"\xff\xfe\x00",
            b'{"event":' + b"[" * 5_000,
            json.dumps({"event": "no.such", "type": "No", "dataType": "no", "session": one.name}).encode(),
            json.dumps({"event": None, "type": None, "dataType": None}).encode(),
            json.dumps({"event": "message", "type": "Message", "dataType": "message", "payload": None}).encode(),
            json.dumps({"event": "messages.upsert", "data": {"messages": [None, 1, {"key": []}] * 400}}).encode(),
            json.dumps(
                {"event": "message.any", "payload": {"id": {"_serialized": ["x"]}, "body": "y" * 300_000}}
            ).encode(),
        ]
        for body in told:
            answer = await fleet.client.post(path, content=body, headers={"x-api-key": one.model.key})
            assert answer.status_code in (200, 400, 413, 422), (family, body[:50], answer.text)
            if answer.status_code != 200:
                assert answer.json()["code"] in ("malformed_body", "invalid_request"), answer.text
        assert await one.tell("incoming") == 200
        assert len(await one.events("message_received")) == 1


@only("waha")
async def test_a_report_that_is_too_large_is_refused(fleet: foreign.Fleet) -> None:
    one = await telling(fleet, "waha")
    path = f"/in/{at(one.model).removeprefix('http://')}/secret/{one.secret}"
    huge = b'{"event":"message","x":"' + b"x" * (fleet.gateway.settings.homing_max_webhook_bytes + 10) + b'"}'
    answer = await fleet.client.post(path, content=huge)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@only("waha")
async def test_a_secret_in_a_path_is_in_no_log_line(fleet: foreign.Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    one = await telling(fleet, "waha")
    with capture_logs() as lines:
        one.aim(hmac={"key": "guess"})
        assert await one.tell("incoming") == 401
    assert lines and one.secret not in json.dumps(lines, default=str)


@only("waha")
async def test_a_path_that_names_nobody_is_the_node_services_and_wants_its_signature(fleet: foreign.Fleet) -> None:
    answer: httpx.Response = await fleet.client.post("/in/nobody/webhooks", json={"event": "message"})
    assert answer.status_code == 401
