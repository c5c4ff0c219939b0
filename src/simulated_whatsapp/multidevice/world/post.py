"""What is on its way to a linked device: kept until the device took it, offered again at its next login."""

from simulated_whatsapp.multidevice.wire.jids import Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, node
from simulated_whatsapp.multidevice.world.people import LinkedDevice, Waiting
from simulated_whatsapp.multidevice.world.world import World

QUEUE_LIMIT = 100_000


class Post:
    """The queue of every device."""

    def __init__(self, world: World) -> None:
        self._world = world

    def put(self, device: LinkedDevice, given: Node) -> None:
        """Deliver now if the device listens, and keep it in any case. A full queue loses its oldest."""
        waiting = Waiting(given)
        device.waiting.append(waiting)
        del device.waiting[:-QUEUE_LIMIT]
        if device.line is not None and device.live:
            self._offer(device, waiting, given)

    def listen(self, device: LinkedDevice) -> None:
        """The device asks for its messages: all that waits, marked as such, and then how many those were."""
        line = device.line
        if line is None or device.live:
            return
        device.live = True
        if device.waiting:
            line.send(node("ib", node("offline_preview", **_counts(device.waiting)), from_="s.whatsapp.net"))
        for place, waiting in enumerate(device.waiting):
            self._offer(device, waiting, waiting.node.with_attrs(offline=str(place)))
        line.send(node("ib", node("offline", count=str(len(device.waiting))), from_="s.whatsapp.net"))

    def take(self, device: LinkedDevice, tag: str, ids: list[str], sender: str) -> list[Node]:
        """Forget what this connection was given under these ids; what that was. ``sender`` may lack its device."""
        line = device.line.name if device.line else ""
        taken = [
            each
            for each in device.waiting
            if each.node.tag == tag
            and each.node.get("id") in ids
            and each.sent_by == line
            and _is_from(each.node, sender)
        ]
        device.waiting = [each for each in device.waiting if not any(each is one for one in taken)]
        return [each.node for each in taken]

    def _offer(self, device: LinkedDevice, waiting: Waiting, given: Node) -> None:
        assert device.line is not None
        waiting.sent_by = device.line.name
        if given.tag == "message":
            self._world.events.write(
                "offered", message_id=given.get("id"), device=device.name, offline="offline" in given.attrs
            )
        device.line.send(given)


def _is_from(given: Node, sender: str) -> bool:
    """Receipts name the chat: for one's own copies that is the recipient."""
    if not sender or sender in (given.get("from"), given.get("recipient")):
        return True
    try:
        wanted = Jid.read(sender)
        return wanted.bare in [Jid.read(given.get(name)).bare for name in ("from", "recipient") if given.get(name)]
    except ValueError:
        return False


def _counts(waiting: list[Waiting]) -> dict[str, str]:
    tags = [each.node.tag for each in waiting]
    told = {name: str(tags.count(name)) for name in ("message", "receipt", "notification")}
    return told | {"count": str(len(tags)), "call": "0", "appdata": "0"}
