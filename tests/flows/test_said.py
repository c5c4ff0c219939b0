"""Reports of messages that are on their way are of those, not of earlier ones."""

from homing.flows.sending.own_messages import Said
from homing.model.fleet import AccountUuid, SessionId, WorkspaceId
from homing.model.instances.events import DeliveryEvidence
from homing.model.sends.sending import Text

S = SessionId("s")
TEXT = Text("u", "3EB0AA", WorkspaceId(1), AccountUuid("a"), "5215512345678", "hello")


def sign(recipient: str | None, text: str = "hello", *, hidden: bool = False) -> DeliveryEvidence:
    return DeliveryEvidence("message_sent", S, "3EB0FF", recipient, text, hidden)


def test_a_send_under_way_explains_a_report_under_any_form_of_the_number_or_none() -> None:
    said = Said()
    said.begin(S, TEXT)
    assert said.explains(sign("5215512345678"))
    assert said.explains(sign("525512345678"))
    assert said.explains(sign(None, hidden=True))
    assert not said.explains(sign(None, "other", hidden=True))
    assert not said.explains(sign("525512345679"))
    assert not said.explains(sign(None))
    said.end(S, TEXT, None)
    assert not said.explains(sign("5215512345678"))
    assert not said.explains(sign(None, hidden=True))


def test_two_sends_of_the_same_words_are_both_over_only_when_both_are() -> None:
    said = Said()
    for _ in range(2):
        said.begin(S, TEXT)
    said.end(S, TEXT, None)
    assert said.explains(sign(None, hidden=True))
    said.end(S, TEXT, None)
    assert not said.explains(sign(None, hidden=True))
