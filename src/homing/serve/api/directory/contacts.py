"""`/contacts`: the people whom a workspace writes to."""

from datetime import datetime

import msgspec
from litestar import Controller, delete, get, post
from litestar.params import JSONBody

from homing.model.errors import Code, Problem
from homing.model.fleet import Contact, ContactUuid
from homing.model.sends.addresses import Address, AddressKind
from homing.ports import Page
from homing.serve.api.context import (
    READ,
    SEND,
    After,
    Asking,
    Limit,
    Ref,
    TheGateway,
    WorkspaceFilter,
    seen_workspace,
    uuid_of,
)
from homing.serve.api.fields import Chosen, ChosenId, Name, Phone, Positive
from homing.serve.api.listing import Listing, page_of
from homing.serve.callers.access import Caller
from homing.serve.gateway import Gateway
from homing.serve.http.described import also


class AddressView(msgspec.Struct):
    """`kind` is `phone`, `lid`, `group`, `newsletter` or `status`; `id` what stands before the `@`, of a phone its
    digits."""

    kind: AddressKind
    id: str


class ContactView(msgspec.Struct):
    """A person or a group to write to. `phone` is the address that is sent to as one text, of a phone its digits alone;
    `address` is the same in two parts, null where an old row's phone is none; `phone_as_written` is what was given."""

    id: int
    uuid: str
    workspace_id: int
    phone: str
    name: str
    created_at: datetime
    phone_as_written: str | None
    address: AddressView | None


class ContactBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new contact; under a `uuid` and an `id` of the caller's, if they are given."""

    phone: Phone
    workspace_id: Positive | None = None
    name: Name = ""
    uuid: Chosen | None = None
    id: ChosenId | None = None


def contact_view(contact: Contact) -> ContactView:
    return ContactView(
        contact.id,
        contact.uuid,
        contact.workspace_id,
        contact.phone,
        contact.name,
        contact.created_at,
        contact.phone_as_written,
        _address_view(contact.phone),
    )


def _address_view(phone: str) -> AddressView | None:
    try:
        address = Address.of(phone)
    except ValueError:
        return None
    return AddressView(address.kind, address.id)


class ContactsController(Controller):
    """Contacts are named by their uuid."""

    path = "/contacts"
    tags = ["contacts"]

    @get("/", guards=[READ], summary="List contacts")
    async def list_contacts(
        self,
        gateway: TheGateway,
        caller: Asking,
        workspace_id: WorkspaceFilter = None,
        after: After = 0,
        limit: Limit = 50,
    ) -> Listing[ContactView]:
        rows = await gateway.stores.directory.contacts(seen_workspace(caller, workspace_id), Page(after, limit))
        return page_of([contact_view(row) for row in rows], limit)

    @post("/", guards=[SEND], opt=also(409), summary="Create a contact")
    async def create(self, data: JSONBody[ContactBody], gateway: TheGateway, caller: Asking) -> ContactView:
        if caller.names_another(data.workspace_id):
            raise Problem(Code.NOT_FOUND, f"There is no workspace {data.workspace_id} for this key")
        workspace = caller.acting_for(data.workspace_id)
        recipient = gateway.workspaces.recipient(workspace, data.phone)
        uuid = ContactUuid(uuid_of(data.uuid) if data.uuid is not None else gateway.entropy.uuid())
        made = await gateway.stores.directory.create_contact(
            uuid, workspace, str(recipient.address), data.name, as_written=recipient.written, id=data.id
        )
        return contact_view(made)

    @get("/{uuid:str}", guards=[READ], summary="Show a contact")
    async def show(self, uuid: Ref, gateway: TheGateway, caller: Asking) -> ContactView:
        return contact_view(await _contact(gateway, caller, uuid))

    @delete("/{uuid:str}", guards=[SEND], summary="Delete a contact")
    async def remove(self, uuid: Ref, gateway: TheGateway, caller: Asking) -> None:
        await gateway.stores.directory.delete_contact(await _contact(gateway, caller, uuid))


async def _contact(gateway: Gateway, caller: Caller, uuid: str) -> Contact:
    contact = await gateway.stores.directory.contact(caller.workspace, uuid.lower())
    if contact is None:
        raise Problem(Code.CONTACT_NOT_FOUND, f"There is no contact {uuid}")
    return contact
