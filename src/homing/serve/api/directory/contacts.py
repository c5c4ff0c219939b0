"""`/contacts`: the people whom a workspace writes to."""

from litestar import Controller, delete, get, post
from litestar.params import JSONBody

from homing.model.errors import Code, Problem
from homing.model.fleet import Contact, ContactUuid
from homing.ports import AccountChanged, Page
from homing.serve import views
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
from homing.serve.bodies import ContactBody
from homing.serve.callers.access import Caller
from homing.serve.gateway import Gateway
from homing.serve.http.described import also
from homing.serve.views import ContactView, Listing


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
        return views.page([views.contact(row) for row in rows], limit)

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
        return views.contact(made)

    @get("/{uuid:str}", guards=[READ], summary="Show a contact")
    async def show(self, uuid: Ref, gateway: TheGateway, caller: Asking) -> ContactView:
        return views.contact(await _contact(gateway, caller, uuid))

    @delete("/{uuid:str}", guards=[SEND], summary="Delete a contact")
    async def remove(self, uuid: Ref, gateway: TheGateway, caller: Asking) -> None:
        contact = await _contact(gateway, caller, uuid)
        await gateway.stores.directory.delete_contact(contact)
        await gateway.stores.notices.publish([AccountChanged(contact_uuid=contact.uuid)])


async def _contact(gateway: Gateway, caller: Caller, uuid: str) -> Contact:
    contact = await gateway.stores.directory.contact(caller.workspace, uuid.lower())
    if contact is None:
        raise Problem(Code.CONTACT_NOT_FOUND, f"There is no contact {uuid}")
    return contact
