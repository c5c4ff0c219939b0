"""Bodies of customers' requests. An input is the number of the body's type, and the body."""

import json

import msgspec

from fuzz.parsers import lines
from homing.model.errors import Code, Problem
from homing.serve.api.directory.account_shapes import AccountBody, AccountChangesBody, MigrateBody, RehomeBody
from homing.serve.api.directory.contacts import ContactBody
from homing.serve.api.directory.keys import KeyBody, KeyChangesBody, RotateBody
from homing.serve.api.directory.workspaces import WorkspaceChangesBody
from homing.serve.api.fleet.cache import ForgetBody
from homing.serve.api.fleet.instance_shapes import ExitedByUrlBody, InstanceBody, InstanceChangesBody
from homing.serve.api.fleet.moves import RebalanceBody
from homing.serve.http import problems, readable
from homing.serve.sends import SendBody

TYPES: tuple[type[msgspec.Struct], ...] = (
    SendBody,
    AccountBody,
    AccountChangesBody,
    RehomeBody,
    MigrateBody,
    ContactBody,
    WorkspaceChangesBody,
    InstanceBody,
    InstanceChangesBody,
    ExitedByUrlBody,
    RebalanceBody,
    ForgetBody,
    KeyBody,
    KeyChangesBody,
    RotateBody,
)

SEEDS = (
    b'0\n{"account_uuid": "a", "message": "hello", "workspace_id": 1, "phone": "+62811801641", "type": "text"}',
    b'1\n{"phone": "0816108641", "requires": {"region": "eu"}, "start": false, "id": 7, "uuid": "a-b"}',
    b'2\n{"takeover": "never", "instance_url": "http://a:3001"}',
    b'5\n{"to": 3, "force": true}',
    b"3\nnull",
)
WORDS = (b'"account_uuid"', b'"message"', b'"workspace_id"', b'"force"', b"true", b"1e400", b"\\ud800", b"NaN", b"\xff")


def check(data: bytes) -> None:
    [which], raw = lines(data, 1)
    wanted = TYPES[int(which[:6]) % len(TYPES)] if which.isascii() and which.isdecimal() else TYPES[0]
    try:
        read = readable.read(raw, msgspec.json.Decoder(wanted).decode)
    except Problem as problem:
        assert problem.code in (Code.MALFORMED_BODY, Code.INVALID_REQUEST)
        msgspec.json.encode(problems.document(problem))
        return
    named = set(json.loads(raw))
    assert named <= set(wanted.__struct_fields__), "an unknown field was taken"
    _check_exact(read, json.loads(raw))


def _check_exact(read: msgspec.Struct, said: dict[str, object]) -> None:
    """Nothing was made of anything: a text stays a text, and only true and false are booleans."""
    for name, value in said.items():
        taken = getattr(read, name)
        assert type(taken) is type(value) or (type(value) in (int, float) and taken == value), f"{name} was converted"
        assert taken == value
