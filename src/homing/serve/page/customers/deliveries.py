"""One event on its way to one endpoint, with each attempt."""

from typing import Any

from homing.model.deliveries.deliveries import Delivery, DeliveryAttempt, DeliveryId, DeliveryState
from homing.model.errors import Code, Problem
from homing.serve.page import words
from homing.serve.page.viewer import Shape, Viewer

_STATES = {
    DeliveryState.PENDING: Shape("ring", "busy", "pending"),
    DeliveryState.DELIVERED: Shape("disc", "ok", "delivered"),
    DeliveryState.DEAD: Shape("cross", "bad", "dead"),
}
_MEANS = {
    DeliveryState.PENDING: "It waits for its next attempt.",
    DeliveryState.DELIVERED: "The endpoint has it.",
    DeliveryState.DEAD: "It is not tried any more, and stays here until it is replayed or forgotten.",
}


def row_of(viewer: Viewer, each: Delivery) -> dict[str, Any]:
    """One line of an endpoint's deliveries."""
    return {
        "id": each.id,
        "at": words.moment(each.created_at, viewer.now),
        "state": _STATES[each.state],
        "type": each.type,
        "status": str(each.status or "–"),
        "attempts": str(each.attempts),
        "why": each.reason or "–",
        "next": words.moment(each.due_at, viewer.now) if each.state is DeliveryState.PENDING else "–",
    }


async def one(viewer: Viewer, number: int) -> dict[str, Any]:
    delivery = await find(viewer, number)
    attempts = await viewer.gateway.stores.deliveries.attempts(delivery.id)
    endpoint = await viewer.gateway.stores.endpoints.find(delivery.endpoint_id)
    waits = delivery.state is DeliveryState.PENDING
    return {
        "template": "delivery",
        "delivery": delivery,
        "state": _STATES[delivery.state],
        "means": _MEANS[delivery.state],
        "endpoint": (endpoint.settings.name or endpoint.settings.url) if endpoint is not None else delivery.endpoint_id,
        "attempts": [_attempt(viewer, each) for each in attempts],
        "may_replay": viewer.may_operate and not waits,
        "facts": [
            ("Event", delivery.type),
            ("webhook-id", delivery.event_id),
            ("Number", f"{delivery.sequence:,}"),
            ("Made", words.moment(delivery.created_at, viewer.now)),
            ("Next attempt", words.moment(delivery.due_at, viewer.now) if waits else "–"),
            ("Ended", words.moment(delivery.finished_at, viewer.now)),
            ("Workspace", str(delivery.workspace_id)),
        ],
    }


async def find(viewer: Viewer, number: int) -> Delivery:
    """Raises Problem; another workspace's is not there."""
    found = await viewer.gateway.stores.deliveries.find(DeliveryId(number)) if number < 2**63 else None
    if found is None or viewer.scope not in (None, found.workspace_id):
        raise Problem(Code.DELIVERY_NOT_FOUND, f"There is no delivery {number}")
    return found


def _attempt(viewer: Viewer, each: DeliveryAttempt) -> dict[str, str]:
    return {
        "number": str(each.number),
        "at": words.moment(each.at, viewer.now),
        "took": words.took(each.latency_ms),
        "status": str(each.status or "–"),
        "why": each.reason or "–",
        "body": each.body,
    }
