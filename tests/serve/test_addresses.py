"""Under which address instances reach us, and which of them have to be told one of their own."""

import pytest

from homing.config import Settings
from homing.model.fleet import Instance, InstanceUrl
from homing.serve.addresses import doubts, report_to

HERE, HERE_TOO = Instance(1, InstanceUrl("http://localhost:3001")), Instance(2, InstanceUrl("http://localhost:3002"))
WA = Instance(3, InstanceUrl("http://wa1:3001"))


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[arg-type, call-arg]


def test_an_instance_on_another_host_is_told_our_public_address_with_its_number() -> None:
    known = settings(homing_public_url="http://homing.internal:8000/")
    assert report_to(known, WA, [WA]) == "http://homing.internal:8000/in/3"
    assert doubts(known) is None
    assert report_to(settings(homing_public_url="http://127.0.0.1:8000"), WA, [WA]) == "http://127.0.0.1:8000/in/3"


def test_on_one_machine_nobody_needs_a_line() -> None:
    assert report_to(settings(), HERE, [HERE, HERE_TOO]) is None
    assert report_to(settings(), HERE, [HERE, WA]) is not None


@pytest.mark.parametrize(
    ("host", "guess"),
    [("127.0.0.1", "http://127.0.0.1:8000"), ("10.0.0.5", "http://10.0.0.5:8000"), ("::1", "http://[::1]:8000")],
)
def test_a_guess_is_named_as_one(host: str, guess: str) -> None:
    known = settings(homing_host=host)
    assert known.our_url == guess
    assert "HOMING_PUBLIC_URL" in (doubts(known) or "")


def test_an_address_that_only_this_machine_reaches_is_said_to_be_that() -> None:
    assert "HOMING_HOST=0.0.0.0" in (doubts(settings(homing_host="127.0.0.1")) or "")
    everywhere = settings(homing_host="0.0.0.0")
    assert "is a guess" in (doubts(everywhere) or "")
