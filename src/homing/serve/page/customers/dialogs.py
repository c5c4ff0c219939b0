"""Dialogs about customers' webhooks: test one, disable it, tell it again what it did not take."""

import json
from typing import Any

from homing.model.deliveries.deliveries import DeliveryState
from homing.model.deliveries.endpoints import EndpointRecord, EndpointState
from homing.model.errors import Code, Problem
from homing.serve.page import words
from homing.serve.page.customers import deliveries, endpoints
from homing.serve.page.dialogs.shape import Dialog, offered
from homing.serve.page.viewer import Viewer

_REPLAYED = (("replayed", "Told again"),)


async def of_endpoint(viewer: Viewer, ref: str, action: str) -> dict[str, Any]:
    record = await endpoints.find(viewer, ref)
    match action:
        case "test":
            return offered(viewer, _test(record))
        case "replay":
            counts = (await viewer.gateway.stores.endpoints.counts([record.id])).get(record.id, {})
            return offered(viewer, _replay(record, counts.get(DeliveryState.DEAD, 0)))
        case "disable" | "enable":
            return offered(viewer, _turn(record, on=action == "enable"))
        case _:
            raise Problem(Code.NOT_FOUND, f"There is no action {action[:50]!r} of an endpoint")


def _test(record: EndpointRecord) -> Dialog:
    return Dialog(
        title=f"Test {_name(record)}?",
        text=f"It is called once, now, with an event of the type endpoint.test, signed like any other: {_url(record)}",
        button="Test 1 endpoint",
        path=f"/api/v1/endpoints/{record.id}/test",
        command=f"homing endpoints test {record.id}",
        tells=(
            ("delivered", "Delivered"),
            ("status", "Answered"),
            ("latency_ms", "After (ms)"),
            ("reason", "Because"),
            ("body", "It said"),
        ),
        back=f"/endpoints/{record.id}",
    )


def _replay(record: EndpointRecord, dead: int) -> Dialog:
    return Dialog(
        title=f"Replay what {_name(record)} did not take?",
        text="Each is told again under the same webhook-id, so that a receiver that has it already can tell.",
        button=f"Replay {words.many(dead, 'dead delivery', 'dead deliveries')}",
        path="/api/v1/deliveries/replay",
        command=f"homing endpoints replay {record.id} --dead",
        figures=[("Dead", f"{dead:,}", "given up so far")],
        forbidden=_nothing_to_replay(record, dead),
        body=json.dumps({"endpoint_id": record.id, "state": DeliveryState.DEAD.value}),
        tells=_REPLAYED,
        back=f"/endpoints/{record.id}",
    )


def _nothing_to_replay(record: EndpointRecord, dead: int) -> str:
    if not dead:
        return "Nothing of it is dead."
    return "It is disabled. Enable it first." if record.state is EndpointState.DISABLED else ""


def _turn(record: EndpointRecord, *, on: bool) -> Dialog:
    word, is_on = ("Enable" if on else "Disable"), record.state is EndpointState.ENABLED
    return Dialog(
        title=f"{word} {_name(record)}?",
        text="It is told what waits for it, from the beginning."
        if on
        else "It is told nothing more; what waits for it goes on waiting, and is tried once it is enabled again.",
        button=f"{word} 1 endpoint",
        path=f"/api/v1/endpoints/{record.id}",
        command=f"homing endpoints set {record.id} --{word.lower()}",
        method="PATCH",
        forbidden=f"It is {record.state.value} already." if on == is_on else "",
        body=json.dumps({"enabled": on}),
        back=f"/endpoints/{record.id}",
    )


def _name(record: EndpointRecord) -> str:
    return record.settings.name or record.id


def _url(record: EndpointRecord) -> str:
    return record.settings.url


async def of_delivery(viewer: Viewer, number: int, action: str) -> dict[str, Any]:
    if action != "replay":
        raise Problem(Code.NOT_FOUND, f"There is no action {action[:50]!r} of a delivery")
    delivery = await deliveries.find(viewer, number)
    ask = Dialog(
        title="Make this delivery once more?",
        text="Under the same webhook-id, so that a receiver that has it already can tell.",
        button="Replay 1 delivery",
        path=f"/api/v1/deliveries/{delivery.id}/replay",
        command=f"homing endpoints replay {delivery.endpoint_id}",
        figures=[
            ("Event", delivery.type, delivery.event_id),
            ("Attempts", str(delivery.attempts), delivery.state.value),
        ],
        forbidden="It waits to be made anyway." if delivery.state is DeliveryState.PENDING else "",
        tells=_REPLAYED,
        back=f"/deliveries/{delivery.id}",
    )
    return offered(viewer, ask)
