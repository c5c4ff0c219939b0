"""Groups as devices ask for and change them: ``w:g2`` (stanzas as in Baileys 7.0.0-rc14)."""

import secrets

from simulated_whatsapp.multidevice.protocol.keys import Refused
from simulated_whatsapp.multidevice.wire.jids import HIDDEN, NUMBERS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node, node
from simulated_whatsapp.multidevice.world.groups import Group
from simulated_whatsapp.multidevice.world.people import LinkedDevice
from simulated_whatsapp.multidevice.world.post import Post
from simulated_whatsapp.multidevice.world.world import World

_CHANGES = ("add", "remove", "promote", "demote")


class GroupQuestions:
    """What devices ask of groups."""

    def __init__(self, world: World, post: Post) -> None:
        self._world, self._post = world, post

    def asked(self, device: LinkedDevice, question: Node) -> tuple[Node, ...]:
        """One group, or all that the device's number is in. Raises ``Refused``."""
        if question.child("participating") is not None:
            return (node("groups", *map(self._told, self._world.groups.of(device.number))),)
        return (self._told(self._group(device, question)),)

    def changed(self, device: LinkedDevice, question: Node) -> tuple[Node, ...]:
        """A new group, or other members. Raises ``Refused``."""
        create = question.child("create")
        if create is not None:
            members = [device.number, *self._numbers(create)]
            group = self._world.groups.create(create.get("subject"), members, self._world.clock())
            self.made(group, device)
            return (self._told(group),)
        if question.child("leave") is not None:
            return self._left(device, question)
        group = self._group(device, question)
        for change in question.children:
            if change.tag in _CHANGES:
                self._apply(group, change.tag, self._numbers(change))
                self.tell(group, change, device)
            elif change.tag == "subject":
                group.subject = change.data.decode(errors="replace")
                self.tell(group, change.with_attrs(subject=group.subject), device)
        return question.children

    def made(self, group: Group, by: LinkedDevice | None = None) -> None:
        """Its members hear of a new group."""
        self.tell(group, node("create", self._told(group)), by)

    def tell(self, group: Group, change: Node, by: LinkedDevice | None) -> None:
        """Every linked device of a member hears of a change, but for the one that made it."""
        for number in group.members:
            person = self._world.people.person(number)
            for device in person.devices.values():
                if device is not by:
                    told = node("notification", change, from_=str(group.jid), type="w:gp2", t=self._world.seconds)
                    self._post.put(device, told.with_attrs(id=secrets.token_hex(8)))

    def _apply(self, group: Group, change: str, numbers: list[str]) -> None:
        for number in numbers:
            if change == "add":
                group.members[number] = None
            elif change == "remove":
                group.members.pop(number, None)

    def _left(self, device: LinkedDevice, question: Node) -> tuple[Node, ...]:
        leave = question.child("leave") or node("leave")
        for each in leave.children:
            group = self._world.groups.at(Jid.read(each.get("id")))
            if group is not None:
                group.members.pop(device.number, None)
        return (leave,)

    def _group(self, device: LinkedDevice, question: Node) -> Group:
        group = self._world.groups.at(Jid.read(question.get("to")))
        if group is None:
            raise Refused(404, "item-not-found")
        if device.number not in group.members:
            raise Refused(403, "forbidden")
        return group

    def _numbers(self, change: Node) -> list[str]:
        people = (self._world.people.at(Jid.read(each.get("jid"))) for each in change.all("participant"))
        return [person.number for person in people if person is not None]

    def _told(self, group: Group) -> Node:
        people = [self._world.people.person(number) for number in group.members]
        members = [
            Node(
                "participant",
                {"jid": str(person.address(HIDDEN)), "phone_number": str(person.address(NUMBERS))}
                | ({"type": "superadmin"} if person.number == group.creator else {}),
            )
            for person in people
        ]
        creator = self._world.people.person(group.creator) if group.members else None
        made = str(group.created)
        told = node("group", *members, id=group.jid.user, subject=group.subject, addressing_mode="lid")
        told = told.with_attrs(creation=made, s_t=made, size=str(len(members)))
        return told.with_attrs(creator=str(creator.address(HIDDEN))) if creator else told
