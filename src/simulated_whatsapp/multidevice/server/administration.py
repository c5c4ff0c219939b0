"""A tester's hand on it all: JSON over HTTP, for whoever is on this machine.

``POST /admin/…`` takes one object and answers one; what cannot be done is a 400 with its ``reason``.
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from simulated_whatsapp.multidevice.phones.content import text_message
from simulated_whatsapp.multidevice.phones.files import KINDS, file_message
from simulated_whatsapp.multidevice.phones.linking import BadCode
from simulated_whatsapp.multidevice.protocol.logins import ENDINGS
from simulated_whatsapp.multidevice.protocol.pairing import Registration
from simulated_whatsapp.multidevice.protocol.service import Service
from simulated_whatsapp.multidevice.server.media import MediaStore
from simulated_whatsapp.multidevice.server.ready_made import ready_made
from simulated_whatsapp.multidevice.wire.jids import GROUPS, HIDDEN, NUMBERS, Jid
from simulated_whatsapp.multidevice.world.faults import Armed, BadOrder, Fault
from simulated_whatsapp.multidevice.world.people import LinkedDevice, Person

SIGNED_WITHIN_S = 20.0
Order = dict[str, Any]
Act = Callable[[Order], Awaitable[Order] | Order]


class Administration:
    """What may be asked, by its name in the path."""

    def __init__(self, service: Service, files: MediaStore) -> None:
        self._service, self._world, self._files = service, service.world, files
        self._acts: dict[str, Act] = {
            "scan": self._scan,
            "enter-code": self._enter_code,
            "preregister": self._preregister,
            "group": self._group,
            "write": self._write,
            "remove-device": lambda order: self._end(order | {"why": "removed"}),
            "end": self._end,
            "forget-sessions": self._forget_sessions,
            "forget-files": self._forget_files,
            "phone": self._phone,
            "pardon": self._pardon,
            "arm": self._arm,
            "disarm": self._disarm,
            "rules": self._rules,
        }

    def routes(self) -> list[web.RouteDef]:
        asked = [web.post(f"/admin/{name}", self._handler(act)) for name, act in self._acts.items()]
        told = {"ledger": self._ledger, "devices": self._devices, "stats": self._stats, "rules": self._rules_now}
        return [*asked, *(web.get(f"/admin/{name}", self._teller(tell)) for name, tell in told.items())]

    def _handler(self, act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                order = await request.json()
                answer = act(order if isinstance(order, dict) else {})
                return web.json_response(answer if isinstance(answer, dict) else await answer)
            except KeyError as missing:
                return _refused(f"{missing} is missing")
            except json.JSONDecodeError:
                return _refused("the body is no JSON")
            except (BadCode, BadOrder, TypeError, ValueError, TimeoutError) as wrong:
                return _refused(str(wrong) or type(wrong).__name__)

        return handle

    def _teller(self, tell: Callable[[web.Request], Order]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            return web.json_response(tell(request))

        return handle

    async def _scan(self, order: Order) -> Order:
        """A phone scans a code: answered once the device is linked."""
        return await self._linked(self._service.pairing.scan(str(order["qr"]), _number(order["phone"])))

    async def _enter_code(self, order: Order) -> Order:
        """Somebody types a code into their phone: answered once the device is linked."""
        return await self._linked(self._service.link_codes.entered(str(order["code"]), _number(order["phone"])))

    def _preregister(self, order: Order) -> Order:
        """Devices linked to numbers without a client at hand; their credentials in the same order."""
        return {"credentials": [ready_made(self._service, _number(phone)) for phone in order["phones"]]}

    async def _linked(self, registration: Registration) -> Order:
        device = await asyncio.wait_for(asyncio.shield(registration.done), SIGNED_WITHIN_S)
        person = self._world.people.person(device.number)
        jid, lid = person.address(NUMBERS, device.id), person.address(HIDDEN, device.id)
        return {"device": device.name, "jid": str(jid), "lid": str(lid)}

    def _write(self, order: Order) -> Order:
        """A phone writes a text, or sends a file, to a number or to a group."""
        sender, message, named = self._person(order["from"]), self._message(order), str(order.get("id", ""))
        writing, to = self._service.writing, str(order["to"])
        if not to.endswith(GROUPS):
            return {"message_id": writing.to_person(sender, self._person(to), message, named)}
        group = self._world.groups.at(Jid.read(to))
        if group is None or sender.number not in group.members:
            raise BadOrder(f"{sender.number} is in no group {to}")
        return {"message_id": writing.to_group(sender, group, message, named)}

    def _message(self, order: Order) -> bytes:
        """``file`` is in base64, ``kind`` what it is shown as."""
        if "file" not in order:
            return text_message(str(order["text"]))
        kind = str(order["kind"])
        if kind not in KINDS:
            raise BadOrder(f"a file is one of {', '.join(sorted(KINDS))}")
        told = {"mime_type": str(order["mime_type"]), "name": str(order.get("file_name", ""))}
        plain, caption = base64.b64decode(order["file"]), str(order.get("text", ""))
        return file_message(kind, plain, self._files.keep, **told, caption=caption)

    def _forget_files(self, _: Order) -> Order:
        self._files.forget()
        return {}

    def _group(self, order: Order) -> Order:
        """Numbers make a group: the first of them does."""
        members = [_number(number) for number in order["members"]]
        group = self._world.groups.create(str(order["subject"]), members, self._world.clock())
        self._service.groups.made(group)
        return {"group": str(group.jid)}

    def _end(self, order: Order) -> Order:
        why = order["why"]
        if why not in ENDINGS:
            raise BadOrder(f"a connection ends as one of {', '.join(ENDINGS)}")
        self._service.logins.end(self._device(str(order["device"])), why)
        return {}

    def _forget_sessions(self, order: Order) -> Order:
        """A phone loses its sessions with one device, or with all."""
        phone = self._person(order["phone"]).phone
        phone.identity.forget(order.get("with"))
        phone.groups.forget()
        phone.given_keys.clear()
        return {}

    def _phone(self, order: Order) -> Order:
        """Whether a phone has a network, its number is on WhatsApp at all, and linking needs a passkey."""
        person = self._person(order["phone"])
        if order.get("online") is True:
            self._service.reading.is_back(person)
        person.phone.online = bool(order.get("online", person.phone.online))
        person.phone.registered = bool(order.get("registered", person.phone.registered))
        person.phone.passkey = bool(order.get("passkey", person.phone.passkey))
        told = {name: getattr(person.phone, name) for name in ("online", "registered", "passkey")}
        return {"phone": person.number} | told

    def _pardon(self, order: Order) -> Order:
        self._service.logins.banned.discard(_number(order["phone"]))
        return {}

    def _arm(self, order: Order) -> Order:
        given = {name: value for name, value in order.items() if name != "fault"}
        self._world.faults.arm(Armed(Fault(order["fault"]), **given))
        return {"armed": self._world.faults.as_told()}

    def _disarm(self, _: Order) -> Order:
        self._world.faults.disarm()
        return {}

    def _rules(self, order: Order) -> Order:
        self._world.rules = self._world.rules.changed(order)
        return asdict(self._world.rules)

    def _ledger(self, request: web.Request) -> Order:
        after = request.query.get("after", "0")
        lines, end = self._world.events.since(int(after) if after.isdigit() else 0)
        return {"lines": lines, "next": end}

    def _devices(self, _: web.Request) -> Order:
        return {"devices": self._world.people.as_told()}

    def _stats(self, _: web.Request) -> Order:
        return {"events": dict(self._world.events.counts), "armed": self._world.faults.as_told()}

    def _rules_now(self, _: web.Request) -> Order:
        return asdict(self._world.rules)

    def _person(self, number: str) -> Person:
        return self._world.people.person(_number(number))

    def _device(self, name: str) -> LinkedDevice:
        found = self._world.people.device(name)
        if found is None:
            raise BadOrder(f"there is no device {name!r}")
        return found


def _number(given: str) -> str:
    """Raises ``BadOrder`` for what is no number."""
    number = str(given).removeprefix("+")
    if not number.isdigit():
        raise BadOrder(f"{given!r} is no number")
    return number


def _refused(reason: str) -> web.Response:
    return web.json_response({"reason": reason}, status=400)
