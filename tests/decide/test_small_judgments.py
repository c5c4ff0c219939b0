"""Idempotency and addresses."""

import pytest

from homing.decide.sending import idempotency
from homing.decide.sending.idempotency import Drive, InFlight, Mismatch, Replay
from homing.model.fleet import AccountUuid, InstanceUrl, WorkspaceId
from homing.model.urls import normal, origin_key


def test_a_derived_message_id_depends_on_workspace_account_and_key_alone() -> None:
    def derived(workspace: int = 1, account: str = "a", key: str = "k") -> str:
        return idempotency.derived_message_id(b"secret", WorkspaceId(workspace), AccountUuid(account), key)

    assert derived() == derived()
    assert len({derived(), derived(workspace=2), derived(account="b"), derived(key="l")}) == 4
    assert derived().startswith("3EB0")
    assert set(derived()) <= set("0123456789ABCDEF")
    assert len(derived()) == 22


def test_admission_follows_the_row_of_the_key() -> None:
    from datetime import UTC, datetime

    from homing.model.sends.messages import Claimed, InUse, KeyedSend, StoredAnswer

    def row(answer: StoredAnswer | None) -> InUse:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        return InUse(KeyedSend(WorkspaceId(1), "k", "f", "m", "o", at, at, answer))

    answer = StoredAnswer(200, {"success": True})
    assert idempotency.admit(Claimed("m", taken_over=True), "f") == Drive("m", repeated=True)
    assert idempotency.admit(row(answer), "f") == Replay(answer, "m")
    assert idempotency.admit(row(None), "f") == InFlight("m")
    assert idempotency.admit(row(answer), "g") == Mismatch("m")


@pytest.mark.parametrize(
    ("given", "normal_form"),
    [
        ("http://127.0.0.1:3001/", "http://localhost:3001"),
        ("HTTP://LocalHost:3001", "http://localhost:3001"),
        ("http://[::1]:3001", "http://localhost:3001"),
        ("https://wa.example.com:443/gate/", "https://wa.example.com/gate"),
        ("http://10.0.0.5:80", "http://10.0.0.5"),
    ],
)
def test_two_spellings_of_an_address_are_one(given: str, normal_form: str) -> None:
    assert normal(given) == normal_form


@pytest.mark.parametrize(
    "given",
    [
        *("", "localhost:3001", "ftp://x", "http://", "http://h:99999", "http://u:p@h", "http://h?q=1"),
        *(
            "http://107\x0e0.0.1:3003/",
            "http://h\n:1",
            "http://h:1/\x7f",
            "http://h i",
            'http://h"',
            "http://h'",
            "http://h\\i",
        ),
        *("http://h:1/<b>", "http://h:1/a\u2028b", "http://h:1/{a}"),
    ],
)
def test_what_is_no_base_url_is_refused_with_a_sentence(given: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        normal(given)


def test_an_instances_short_name_is_its_origin() -> None:
    assert origin_key(InstanceUrl("http://localhost:3001")) == "localhost:3001"
