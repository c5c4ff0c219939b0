"""Who has which devices and hidden identity: the ``usync`` question (stanzas as in Baileys 7.0.0-rc14)."""

from collections.abc import Iterator

from simulated_whatsapp.multidevice.protocol.contacts import Contacts
from simulated_whatsapp.multidevice.wire.jids import HIDDEN, NUMBERS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, node
from simulated_whatsapp.multidevice.world.people import LinkedDevice, Person
from simulated_whatsapp.multidevice.world.world import World


def looked_up(world: World, contacts: Contacts, device: LinkedDevice, question: Node) -> tuple[Node, ...]:
    """The answer: for each user what was asked of all. Who asked for devices hears of their changes."""
    asked = question.child("usync") or node("usync")
    wanted = [each.tag for each in (asked.child("query") or node("query")).children]
    users = [_user(world, user, wanted) for user in (asked.child("list") or node("list")).all("user")]
    for user in users if "devices" in wanted else ():
        person = world.people.at(Jid.read(user.get("jid"))) if user is not None else None
        if person is not None:
            contacts.asked(device, person.number)
    answer = node("usync", node("result"), node("list", *(user for user in users if user is not None)))
    return (answer.with_attrs(**{name: asked.get(name) for name in ("context", "mode", "sid", "index", "last")}),)


def _user(world: World, user: Node, wanted: list[str]) -> Node | None:
    phone = user.bytes_of("contact").decode(errors="replace").strip()
    try:
        jid = Jid(phone.lstrip("+"), NUMBERS) if phone else Jid.read(user.get("jid"))
    except ValueError:
        return None
    person = world.people.at(jid)
    if person is None or not person.phone.registered:
        return node("user", node("contact", type="out"), jid=str(jid.bare))
    return node("user", *_told(person, jid, wanted), jid=str(jid.bare))


def _told(person: Person, jid: Jid, wanted: list[str]) -> Iterator[Node]:
    if "devices" in wanted:
        yield _devices(person)
    if "lid" in wanted and jid.server == NUMBERS:
        yield node("lid", val=str(person.address(HIDDEN)))
    if "contact" in wanted:
        yield node("contact", type="in")


def _devices(person: Person) -> Node:
    linked = [node("device", id=str(each), key__index=str(each)) for each in sorted(person.devices)]
    return node("devices", node("device-list", node("device", id="0"), *linked))
