"""A trace that a caller names is found in the log and goes on to the instance; where none is named, none is made up."""

from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from homing.model.sends.calls import OutgoingText
from homing.model.sends.faults import Fault, Phase
from homing.model.tracing import Trace, tracing
from tests.flows.worlds import A, B, C, Misfortune, World
from tests.serve.conftest import Api
from tests.serve.reporting import report, told

ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
NAMED = f"00-{ID}-{SPAN}-01"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Trace | None]:
    """The trace in which each message was handed to an instance."""
    traces: list[Trace | None] = []
    hand_over = World.send

    async def noting(self: World, instance: Any, message: OutgoingText, *, timeout_s: float) -> Any:
        traces.append(tracing.get())
        return await hand_over(self, instance, message, timeout_s=timeout_s)

    monkeypatch.setattr(World, "send", noting)
    return traces


async def send(api: Api, account: dict[str, Any], **headers: str) -> None:
    body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": "+62811801641", "message": "hello"}
    assert (await api.call("POST", "/messages/send", body, **headers)).status_code == 200


async def test_a_send_is_handed_over_within_its_callers_trace(api: Api, seen: list[Trace | None]) -> None:
    account = await api.account()
    await send(api, account, traceparent=NAMED)
    await send(api, account, traceparent=NAMED, Idempotency_Key="k1")
    await send(api, account)
    await send(api, account, traceparent="00-nonsense")
    assert seen == [Trace(ID, SPAN, "01"), Trace(ID, SPAN, "01"), None, None]


async def test_lines_of_the_log_name_the_trace(api: Api) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        await api.call("GET", "/accounts", key="hk_nobody", traceparent=NAMED)
    assert [line["trace_id"] for line in lines if "valid key" in line["event"]] == [ID]


async def test_one_trace_is_found_in_the_message_the_event_and_the_outbox(api: Api) -> None:
    account = await api.account()
    api.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.REPLY_TIMED_OUT)))
    api.world.withdrawn.update((A, B, C))
    body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": "+62811801641", "message": "hello"}
    sent = (await api.call("POST", "/messages/send", body, traceparent=NAMED)).json()
    kept = (await api.call("GET", f"/messages/{sent['message_uuid']}")).json()
    accepted = (await api.call("POST", "/messages", body, traceparent=NAMED)).json()
    waiting = (await api.call("GET", f"/messages/{accepted['message_uuid']}")).json()
    assert (kept["trace_id"], waiting["trace_id"]) == (ID, ID)
    told_of = told("session_ready", account["session_id"])
    assert (await report(api, told_of, traceparent=NAMED)).status_code == 200
    events = (await api.call("GET", "/events")).json()["data"]
    assert [each["trace_id"] for each in events if each["kind"] == "session_ready"] == [ID]
