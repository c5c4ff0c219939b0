"""An import straight into the settings' database."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from homing.compose.stores import open_stores
from homing.config import DEFAULT_INSTANCES, Settings
from homing.model.directory.phones import PhoneNumber
from homing.model.fleet import InstanceUrl, WorkspaceId
from homing.model.urls import normal
from homing.ports.directory.importing import ImportStore
from homing.serve.callers.workspaces import Workspaces
from homing.world import SystemClock, SystemEntropy


@dataclass(frozen=True, slots=True)
class ImportTools:
    """What an import works with. `instances` are those that the directory knows, or a gateway will when it starts."""

    store: ImportStore
    number: Callable[[WorkspaceId, str], PhoneNumber]
    spare_uuid: Callable[[], str]
    instances: frozenset[InstanceUrl]


@asynccontextmanager
async def open_import(settings: Settings, *, region: str | None) -> AsyncIterator[ImportTools]:
    """The directory, for rows by the batch. Numbers of workspaces that set no region belong to `region`.

    Gateways on the same PostgreSQL hear of each change by its notice. Raises StoreMisconfigured and StoreUnavailable.
    """
    clock = SystemClock()
    async with open_stores(settings) as stores:
        workspaces = Workspaces(stores.directory, clock, region or settings.homing_default_region)
        await workspaces.refresh()
        known = {instance.url for instance in await stores.directory.instances()} | set(settings.instances)
        known = known or set(map(normal, DEFAULT_INSTANCES))
        yield ImportTools(stores.imports, workspaces.number, SystemEntropy().uuid, frozenset(known))
