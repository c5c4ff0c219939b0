"""What devices say of what they were given: receipts, which the senders hear of, and acknowledgements."""

from simulated_whatsapp.multidevice.protocol.writing import PhoneWriting
from simulated_whatsapp.multidevice.wire.jids import NUMBERS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node
from simulated_whatsapp.multidevice.world.faults import Fault
from simulated_whatsapp.multidevice.world.people import Line, LinkedDevice
from simulated_whatsapp.multidevice.world.post import Post
from simulated_whatsapp.multidevice.world.world import World

READ = ("read", "read-self", "played")


class Receipts:
    """From linked devices."""

    def __init__(self, world: World, post: Post, writing: PhoneWriting) -> None:
        self._world, self._post, self._writing = world, post, writing

    def said(self, device: LinkedDevice, line: Line, receipt: Node) -> None:
        """A receipt: the message is taken, whatever else it says; its sender is told."""
        if self._world.faults.take(Fault.IGNORE_RECEIPT, device.name):
            return
        kind = receipt.get("type")
        ids = [receipt.get("id"), *(item.get("id") for items in receipt.all("list") for item in items.children)]
        if kind not in READ:
            self._post.take(device, "message", ids, receipt.get("to") or receipt.get("recipient"))
        for each in ids:
            self._world.events.write("receipted", message_id=each, device=device.name, receipt=kind, label=line.label)
        line.send(_ack(receipt))
        self._tell(device, receipt)

    def acknowledged(self, device: LinkedDevice, line: Line, ack: Node) -> None:
        """An acknowledgement; with an error it is a message that could not be read."""
        tag, named, error = ack.get("class"), ack.get("id"), ack.get("error")
        if error:
            self._world.events.write("nacked", message_id=named, device=device.name, error=error, label=line.label)
        if not (tag == "message" and error and not self._world.rules.nacks_forget):
            self._post.take(device, tag, [named], ack.get("to"))

    def _tell(self, device: LinkedDevice, receipt: Node) -> None:
        """Whoever wrote the message hears of it."""
        author = receipt.get("participant") or receipt.get("to")
        try:
            jid = Jid.read(author)
        except ValueError:
            return
        person = self._world.people.at(jid)
        if person is None:
            return
        if not jid.device:
            self._writing.again(person, device, receipt)
            return
        writer = person.devices.get(jid.device)
        if writer is not None and writer is not device:
            own = self._world.people.person(device.number)
            where = {"from": str(own.address(jid.server, device.id)), "t": self._world.seconds}
            if not receipt.get("to").endswith((NUMBERS, "lid")):
                where = {"from": receipt.get("to"), "participant": where["from"], "t": where["t"]}
            kept = {name: receipt.get(name) for name in ("id", "type", "recipient") if receipt.get(name)}
            kept = {name: value for name, value in kept.items() if value != "inactive"}
            self._post.put(writer, Node("receipt", kept | where, receipt.content))


def _ack(receipt: Node) -> Node:
    attrs = {"class": "receipt", "id": receipt.get("id"), "from": receipt.get("to") or NUMBERS}
    kept = {name: receipt.get(name) for name in ("type", "participant") if receipt.get(name)}
    return Node("ack", attrs | kept)
