"""What receivers are told is one line for each alert, whatever an instance or a sender calls itself."""

from datetime import UTC, datetime

import pytest

from homing.decide.alerts import places, wording
from homing.decide.alerts.receivers import AlertGroup
from homing.model.alerts import Alert, AlertKind, Subject
from homing.model.deliveries.receivers import AlertPlace, ToldAlert
from homing.model.fleet import Instance, InstanceUrl, SessionId

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
A, B = (AlertPlace(f"http://{name}:3001", "rack1", f"webjs 1.{name}") for name in "ab")
C = AlertPlace("http://c:3001", "rack2", "webjs 1.a")


def group(*named: str, reason: str = "it reports") -> AlertGroup:
    told = tuple(ToldAlert(name, Alert(AlertKind.UNKNOWN_SENDER, Subject.sender(name), reason, NOON)) for name in named)
    return AlertGroup(AlertKind.UNKNOWN_SENDER, True, told)


@pytest.mark.parametrize(
    "name",
    ["x\nTo do: pay", "x\r\nBcc: a@b.c", "\u202egnp.exe", "a\u200bb", "\x1b[2J", "x\u2028y", "\ud800"],
)
def test_no_name_breaks_its_line_or_turns_what_stands_around_it(name: str) -> None:
    said = wording.text(group(name))
    assert len(said.splitlines()) == 4
    assert said.isprintable() or all(each.isprintable() or each == "\n" for each in said)
    said.encode()


def test_a_long_name_is_cut() -> None:
    assert len(wording.text(group("x" * 10_000, reason="y" * 10_000))) < 2_000


def test_nobody_is_called_by_a_name_in_a_chat() -> None:
    said = wording.slack(group("<!channel> <https://evil.example|Homing> & co"))["text"]
    assert "<" not in said and "&lt;!channel&gt;" in said


def test_the_heading_has_nothing_from_outside() -> None:
    assert wording.heading(group("x\nSubject: y")) == "[Homing] warning: Unknown sender"


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ([A, A], "all on http://a:3001"),
        ([A, B], "all on the machine rack1"),
        ([A, C], "all of webjs 1.a"),
        ([A, A, B, C], "2 on http://a:3001, 1 on http://b:3001, 1 on http://c:3001"),
        ([A, A, None], "2 on http://a:3001"),
        ([None, None], ""),
    ],
)
def test_the_narrowest_thing_that_all_share_is_named(of: list[AlertPlace | None], says: str) -> None:
    assert places.where(of) == says


def test_a_machine_is_what_the_label_says_or_the_address() -> None:
    url = InstanceUrl("http://wa1.internal:3001")
    assert places.place_of(url, Instance(1, url, labels={"host": "rack7"}), "").host == "rack7"
    assert places.place_of(url, None, "").host == "wa1.internal"


def test_alertmanager_knows_an_alert_by_labels_that_do_not_change_while_it_stands() -> None:
    session = ToldAlert("s", Alert(AlertKind.DEAF, Subject.session(SessionId("s")), "silent", NOON))
    here, there = ({session.alert.subject: place} for place in (A, C))
    [fires], [ends] = wording.alertmanager([session], [], here, NOON), wording.alertmanager([], [session], there, NOON)
    assert fires["labels"] == ends["labels"]
    assert fires["annotations"]["instance"] == "http://a:3001"
