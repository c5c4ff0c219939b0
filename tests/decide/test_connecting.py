"""What has to happen for a session to report to us, and how often those are asked that do not."""

import pytest

from homing.decide.reports import connecting, polling
from homing.decide.reports.connecting import Wiring
from homing.decide.reports.polling import PollPolicy
from homing.model.instances.webhooks import WebhookFound

THEIRS = WebhookFound(False, ("https://user:pass@crm.example/hook?token=SECRET",), {"url": "x"})


def plan(found: WebhookFound, *, several: bool = False, readable: bool = True, replace: bool = False) -> object:
    return connecting.plan(found, several=several, readable=readable, restarts=False, replace=replace)


def test_what_reports_here_is_left_alone() -> None:
    assert plan(WebhookFound(True)).wiring is Wiring.CONNECTED  # type: ignore[attr-defined]


def test_where_there_is_room_for_several_the_owners_stays() -> None:
    found = connecting.plan(THEIRS, several=True, readable=True, restarts=True, replace=False)
    assert (found.wiring, found.lost) == (Wiring.ADD, ())
    assert "beside https://crm.example/hook" in found.reason and "restarts the session" in found.reason


def test_where_there_is_room_for_one_nothing_is_replaced_unasked() -> None:
    found = connecting.plan(THEIRS, several=False, readable=True, restarts=False, replace=False)
    assert found.wiring is Wiring.REFUSED and found.lost == ("https://crm.example/hook",)
    assert "--replace" in found.reason
    told = connecting.plan(THEIRS, several=False, readable=True, restarts=False, replace=True)
    assert told.wiring is Wiring.REPLACE and "--undo puts it back" in told.reason


def test_what_cannot_be_asked_for_may_be_anything() -> None:
    unknown = WebhookFound(False)
    found = connecting.plan(unknown, several=False, readable=False, restarts=False, replace=False)
    assert found.wiring is Wiring.REFUSED and found.lost
    assert connecting.plan(unknown, several=False, readable=True, restarts=False, replace=False).wiring is Wiring.ADD


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@crm.example/hook?token=SECRET#x", "https://crm.example/hook"),
        ("javascript:alert(1)", "an address that is none"),
        ("http://[half", "an address that is none"),
        ("", "an address that is none"),
    ],
)
def test_an_address_of_somebody_else_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert connecting.shown_url(url) == shown


# --- polling ---


def test_an_instance_spends_no_more_than_its_share_on_being_asked() -> None:
    policy = PollPolicy(share=0.005, least_s=15.0, most_s=300.0)
    assert polling.next_after_s(0.01, policy) == 15.0
    assert polling.next_after_s(0.5, policy) == 100.0
    assert polling.next_after_s(6.0, policy) == 300.0, "no later than the sync itself would"
    assert polling.next_after_s(1.0, PollPolicy(share=0.0)) is None


@pytest.mark.parametrize(
    ("retries", "tells", "connected", "asked"),
    [(True, True, True, False), (False, True, True, True), (True, False, True, True), (True, True, False, True)],
)
def test_only_those_are_asked_whose_reports_do_not_tell(
    retries: bool, tells: bool, connected: bool, asked: bool
) -> None:
    assert polling.is_asked(retries=retries, tells_status=tells, connected=connected) is asked
