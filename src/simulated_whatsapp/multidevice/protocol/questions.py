"""Questions (``iq``) of devices, and of clients that are none yet; what nobody here knows gets an empty answer."""

from collections.abc import Callable

from simulated_whatsapp.multidevice.protocol.keys import Refused
from simulated_whatsapp.multidevice.protocol.link_codes import NAME, LinkCodes
from simulated_whatsapp.multidevice.protocol.logins import Logins
from simulated_whatsapp.multidevice.protocol.pairing import Pairing
from simulated_whatsapp.multidevice.wire.jids import NUMBERS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, node
from simulated_whatsapp.multidevice.world.faults import Fault
from simulated_whatsapp.multidevice.world.people import Line, LinkedDevice
from simulated_whatsapp.multidevice.world.post import Post
from simulated_whatsapp.multidevice.world.world import World

MEDIA_TTL_S = 3600
Answer = Callable[[LinkedDevice, Node], tuple[Node, ...]]


class Questions:
    """Answers by the question's namespace and type. ``media`` is where files go: host and port."""

    def __init__(
        self, world: World, post: Post, pairing: Pairing, link_codes: LinkCodes, logins: Logins, media: str
    ) -> None:
        self._world, self._post, self._pairing, self._logins = world, post, pairing, logins
        self._link_codes = link_codes
        self._media = media
        self._answers: dict[tuple[str, str], Answer] = {
            ("w:m", "set"): lambda *_: (self._media_hosts(),),
            ("md", "set"): self._about_devices,
            ("abt", "get"): lambda *_: (node("props", hash="sim"),),
        }

    def answer(self, namespace: str, asked: Answer, ordered: Answer) -> None:
        """Who answers to what is asked, and to what is set, in a namespace."""
        self._answers |= {(namespace, "get"): asked, (namespace, "set"): ordered}

    def unlinked(self, line: Line, question: Node) -> None:
        """From a client that is still to be linked."""
        registration = self._pairing.of(line)
        if registration is None or question.get("type") == "error":
            return
        if question.get("type") == "result":
            self._pairing.signed(registration, question)
            return
        link_code = question.child(NAME)
        line.send(_result(question, *(self._link_codes.said(registration, link_code) if link_code else ())))

    def asked(self, device: LinkedDevice, line: Line, question: Node) -> None:
        """From a device. Its answers to our own questions need nothing."""
        kind = question.get("type")
        if kind not in ("get", "set") or self._world.faults.take(Fault.NO_ANSWER, device.name):
            return
        answer = self._answers.get((question.get("xmlns"), kind), nothing)
        try:
            line.send(_result(question, *answer(device, question)))
        except Refused as refused:
            line.send(_error(question, refused))
        except ValueError as wrong:
            line.send(_error(question, Refused(400, str(wrong))))
        if question.child("active") is not None:
            self._post.listen(device)
        if question.child("remove-companion-device") is not None:
            self._logins.end(device, "removed")

    def _about_devices(self, device: LinkedDevice, question: Node) -> tuple[Node, ...]:
        """A device may unlink itself; the others of its number are the phone's."""
        removal = question.child("remove-companion-device")
        if removal is not None and Jid.read(removal.get("jid")).device != device.id:
            raise Refused(403, "a device removes itself only")
        return ()

    def _media_hosts(self) -> Node:
        host = node("host", hostname=self._media, maxContentLengthBytes=str(2**31 - 1))
        return node("media_conn", host, auth="simulated", ttl=str(MEDIA_TTL_S), auth_ttl=str(MEDIA_TTL_S))


def nothing(_: LinkedDevice, __: Node) -> tuple[Node, ...]:
    return ()


def privacy(_: LinkedDevice, __: Node) -> tuple[Node, ...]:
    """Everybody may see everything."""
    seen = (node("category", name=name, value="all") for name in ("readreceipts", "last", "online"))
    return (node("privacy", *seen),)


def _result(question: Node, *content: Node) -> Node:
    return node("iq", *content, from_=question.get("to") or NUMBERS, type="result", id=question.get("id"))


def _error(question: Node, refused: Refused) -> Node:
    error = node("error", code=str(refused.code), text=str(refused))
    return node("iq", error, from_=question.get("to") or NUMBERS, type="error", id=question.get("id"))
