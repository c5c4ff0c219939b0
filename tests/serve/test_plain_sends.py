"""What is remembered for plain sends, so that nothing is asked twice, is forgotten with whatever it depends on."""

import json

import msgspec
import pytest

from homing.model.fleet import InstanceMode
from homing.ports import InstanceChanges
from homing.serve import sends
from homing.serve.http import readable
from tests.serve.conftest import Api

UUID = "01890000-0000-7000-8000-000000000001"
PLAIN = {"workspace_id": 1, "account_uuid": UUID, "phone": "+62811801641", "message": "hello"}


async def test_a_key_that_sent_and_was_revoked_sends_no_more(api: Api) -> None:
    account = await api.account()
    made = (await api.call("POST", "/keys", {"workspace_id": 1, "scope": "send", "name": "x"})).json()
    assert (await api.send(account, key=made["key"])).status_code == 200
    assert (await api.send(account, key=made["key"])).status_code == 200
    assert (await api.call("DELETE", f"/keys/{made['id']}")).status_code < 300
    await api.gateway.keyring.refresh()
    assert (await api.send(account, key=made["key"])).status_code == 401


async def test_an_instance_that_was_sent_through_and_is_only_observed_now_is_sent_through_no_more(api: Api) -> None:
    account = await api.account()
    for _ in range(2):
        assert (await api.send(account)).status_code == 200
    observed = InstanceChanges(mode=InstanceMode.OBSERVE)
    await api.gateway.stores.directory.change_instance(account["instance_url"], observed)
    await api.gateway.fleet.refresh()
    answer = await api.send(account)
    assert (answer.status_code, answer.json()["code"]) == (409, "instance_observed")


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(PLAIN).encode(),
        json.dumps(PLAIN, separators=(",", ":")).encode(),
        json.dumps(PLAIN | {"message": "é ☺"}, ensure_ascii=False).encode(),
        json.dumps({name: value for name, value in PLAIN.items() if name != "phone"} | {"contact_uuid": UUID}).encode(),
        json.dumps(PLAIN | {"type": "text", "wait": True, "contact_uuid": None}).encode(),
    ],
)
def test_a_plain_send_is_read_as_any_other(raw: bytes) -> None:
    plain = sends._plain(raw)
    assert plain is not None
    whole = readable.read(raw, sends._decode)
    for name, value in msgspec.structs.asdict(plain).items():
        assert getattr(whole, name) == value


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(PLAIN).encode()[:-1] + b', "message": "other"}',
        json.dumps(PLAIN).encode()[:-1] + b', "wait": true, "wait": true}',
        json.dumps(PLAIN).encode()[:-1] + b', "workspace_id": 2}',
        json.dumps(PLAIN).encode()[:-1] + b', "reply_to": "3EB0"}',
        json.dumps(PLAIN | {"wait": False}).encode(),
        json.dumps(PLAIN | {"message": ""}).encode(),
        json.dumps(PLAIN | {"message": "a \\ b"}).encode(),
        json.dumps(PLAIN | {"message": "\ud800"}).encode(),
        json.dumps(PLAIN | {"type": "image"}).encode(),
        json.dumps(PLAIN).encode().replace(b"hello", b"\xff"),
        json.dumps(PLAIN).encode().replace(b'"workspace_id": 1', b'"workspace_id": 1e999'),
        b"\xef\xbb\xbf" + json.dumps(PLAIN).encode(),
        b"[]",
        b"",
    ],
)
def test_what_can_be_read_in_two_ways_or_is_more_than_plain_is_read_with_care(raw: bytes) -> None:
    assert sends._plain(raw) is None
