"""What receivers are told is one line for each alert, whatever an instance or a sender calls itself."""

from datetime import UTC, datetime

import pytest

from homing.decide.alerts import places, wording
from homing.decide.alerts.receivers import AlertBundle, AlertGroup, bundled
from homing.model.alerts import GUIDES, Alert, AlertKind, Subject
from homing.model.deliveries.receivers import AlertPlace, ToldAlert
from homing.model.fleet import Instance, InstanceUrl, SessionId

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
A, B = (AlertPlace(f"http://{name}:3001", "rack1", f"webjs 1.{name}") for name in "ab")
C = AlertPlace("http://c:3001", "rack2", "webjs 1.a")


def group(*named: str, reason: str = "it reports") -> AlertGroup:
    told = tuple(ToldAlert(name, Alert(AlertKind.UNKNOWN_SENDER, Subject.sender(name), reason, NOON)) for name in named)
    return AlertGroup(AlertKind.UNKNOWN_SENDER, True, told)


def alone(*named: str, reason: str = "it reports") -> AlertBundle:
    return AlertBundle((group(*named, reason=reason),))


def of_kind(kind: AlertKind, *at: AlertPlace | None, firing: bool = True) -> AlertGroup:
    """One alert of the kind for each place; None is of no place."""
    told, where = [], {}
    for number, place in enumerate(at):
        subject = Subject.session(SessionId(f"{kind.value}-{number}"))
        told.append(ToldAlert(f"{kind.value}-{number}", Alert(kind, subject, "it is so", NOON)))
        if place is not None:
            where[subject] = place
    return AlertGroup(kind, firing, tuple(told), where)


@pytest.mark.parametrize(
    "name",
    ["x\nTo do: pay", "x\r\nBcc: a@b.c", "\u202egnp.exe", "a\u200bb", "\x1b[2J", "x\u2028y", "\ud800"],
)
def test_no_name_breaks_its_line_or_turns_what_stands_around_it(name: str) -> None:
    said = wording.text(alone(name))
    assert len(said.splitlines()) == 4
    assert said.isprintable() or all(each.isprintable() or each == "\n" for each in said)
    said.encode()


def test_a_long_name_is_cut() -> None:
    assert len(wording.text(alone("x" * 10_000, reason="y" * 10_000))) < 2_000


def test_nobody_is_called_by_a_name_in_a_chat() -> None:
    said = wording.slack(alone("<!channel> <https://evil.example|Homing> & co"))["text"]
    assert "<" not in said and "&lt;!channel&gt;" in said


def test_the_heading_has_nothing_from_outside() -> None:
    assert wording.heading(alone("x\nSubject: y")) == "[Homing] warning: Unknown sender"


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


# --- several kinds that are one trouble ---------------------------------------------------------------------------

DEAF, GONE, TWICE = AlertKind.DEAF, AlertKind.INSTANCE_GONE, AlertKind.DUPLICATE_HOLDER


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ((of_kind(GONE, A), of_kind(DEAF, A, A)), ["all on http://a:3001"]),
        ((of_kind(GONE, A), of_kind(DEAF, B)), ["all on the machine rack1"]),
        ((of_kind(GONE, A), of_kind(DEAF, C)), ["all of webjs 1.a"]),
        ((of_kind(GONE, A), of_kind(DEAF, A, C)), ["all of webjs 1.a"]),
        ((of_kind(GONE, A), of_kind(DEAF, None)), ["", ""]),
        ((of_kind(GONE, A), of_kind(DEAF, A, firing=False)), ["", ""]),
        ((of_kind(GONE, A), of_kind(DEAF, A), of_kind(TWICE, C)), ["all on http://a:3001", ""]),
    ],
)
def test_kinds_that_share_a_place_are_told_together(groups: tuple[AlertGroup, ...], says: list[str]) -> None:
    assert [each.where for each in bundled(groups)] == says
    assert {told.alert_id for each in bundled(groups) for told in each.alerts} == {
        told.alert_id for group in groups for told in group.alerts
    }


def test_one_trouble_is_one_message_that_says_what_is_shared_and_each_kind() -> None:
    [bundle] = bundled((of_kind(GONE, A), of_kind(DEAF, A, A)))
    said = wording.text(bundle)
    assert wording.heading(bundle) == "[Homing] critical: 3 alerts of 2 kinds, all on http://a:3001"
    assert said.startswith(wording.heading(bundle))
    assert GUIDES[GONE].title in said and GUIDES[DEAF].title in said
    assert bundle.id == bundled((of_kind(GONE, A), of_kind(DEAF, A, A)))[0].id != bundle.groups[0].id


def test_a_program_is_told_each_kind_by_itself_and_the_trouble_that_they_share() -> None:
    [bundle] = bundled((of_kind(GONE, A), of_kind(DEAF, A, A)))
    told = [wording.document(group, NOON, bundle.where)["data"] for group in bundle.groups]
    assert [each["trouble"] for each in told] == ["all on http://a:3001"] * 2
    assert "trouble" not in wording.document(group("x"), NOON)["data"]
