"""Where sessions reported before, on both databases."""

from homing.model.fleet import InstanceUrl, SessionId
from homing.store.db.database import Database
from homing.store.records.webhook_targets import SqlWebhookTargets

A, B = InstanceUrl("http://a:3001"), InstanceUrl("http://b:3001")
S, T = SessionId("s"), SessionId("t")


async def test_what_was_there_first_is_what_is_put_back(database: Database) -> None:
    targets = SqlWebhookTargets(database)
    await targets.remember(A, S, {"url": "https://crm.example", "headers": {"A": "b"}, "events": ["X"]})
    await targets.remember(A, S, {"url": "https://ours.example"})
    await targets.remember(B, S, None)
    await targets.remember(A, T, None)
    assert await targets.of(A) == {
        S: {"url": "https://crm.example", "headers": {"A": "b"}, "events": ["X"]},
        T: None,
    }
    assert await targets.instances() == [A, B]
    await targets.forget(A, S)
    await targets.forget(A, S)
    assert await targets.of(A) == {T: None} and await targets.of(B) == {S: None}
