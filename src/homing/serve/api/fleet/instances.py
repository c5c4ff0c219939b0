"""`/instances`: the gateways of the fleet, emptying them, and the word that one is gone."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Literal

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET

from homing.decide.fleet.capacity import Load
from homing.decide.fleet.own_keys import SALT_BYTES
from homing.decide.moves import movable
from homing.decide.reports.speakers import ASKS_FOR_ITS_SESSIONS
from homing.decide.starting import start_rate
from homing.flows.operations.joining import RECOGNISE_TIMEOUT_S, GatewayFound, family_of, found_at
from homing.model.alerts import Subject
from homing.model.errors import Code, Problem
from homing.model.fleet import Instance, InstanceLoad, InstanceMode, InstanceState, InstanceUrl
from homing.model.instances.gateways import DEFAULT_FAMILY, Recognised
from homing.model.instances.leases import Incarnation, IncarnationId
from homing.ports import InstanceChanges
from homing.serve.addresses import doubts, report_to
from homing.serve.api.context import OPERATOR, Asking, TheGateway, instance_of, operator, url_of
from homing.serve.api.fleet.instance_shapes import (
    DrainView,
    ExitedBody,
    ExitedByUrlBody,
    ExitedView,
    InstanceBody,
    InstanceChangesBody,
    InstancesView,
    InstanceView,
    StraysView,
    brake_view,
    drain_view,
    exited_view,
    instance_view,
    judge,
    strays_view,
    unknown_sender_view,
)
from homing.serve.gateway import Gateway
from homing.serve.http.described import also

HEALTH_TIMEOUT_S = 1.0

Number = FromPath[int]
ShownHealth = Literal["healthy", "suspect", "misconfigured", "down", "draining"]


class InstancesController(Controller):
    """Instances are named by their number."""

    path = "/instances"
    tags = ["fleet"]
    guards = [OPERATOR]

    @get("/", summary="List instances, each asked for its health; and whether the brake is on")
    async def list_instances(
        self,
        gateway: TheGateway,
        health: Annotated[
            ShownHealth | None,
            QueryParameter(description="Those that are so; `draining`: those that are well and drain"),
        ] = None,
    ) -> InstancesView:
        loads, boots = await gateway.stores.directory.loads(), await _boots(gateway)
        shown = await asyncio.gather(*(_shown(gateway, load, boots) for load in loads))
        return InstancesView(
            data=[each for each in shown if health is None or _word(each) == health],
            next=None,
            brake=brake_view(gateway.keeper.brake),
            unknown_senders=[unknown_sender_view(each) for each in gateway.unknown_senders.all()],
        )

    @post("/", opt=also(409), summary="Let an instance join the fleet")
    async def add(self, data: JSONBody[InstanceBody], gateway: TheGateway, caller: Asking) -> InstanceView:
        operator(caller)
        if data.driver is not None:
            _spoken(gateway, data.driver)
        _kept_rate(data.labels)
        url = url_of(data.url, "url")
        driver, found = await _found(gateway, url, data)
        instance = await gateway.stores.directory.create_instance(
            url,
            driver=driver,
            name=data.name,
            capacity=data.capacity,
            labels=data.labels,
            memory_limit_mb=data.memory_limit_mb,
            sends_limit_per_s=data.sends_limit_per_s,
            key_salt=_key_salt(gateway, driver),
        )
        await gateway.fleet.refresh()
        shown = await _shown(gateway, InstanceLoad(instance, 0, 0), await _boots(gateway))
        shown.api_key = gateway.fleet.own_keys().get(url) if instance.key_salt is not None else None
        unreached = doubts(gateway.settings) if shown.report_to is not None else None
        shown.warning = "; ".join(each for each in (found.warning, shown.warning, unreached) if each) or None
        return shown

    @get("/{number:int}", summary="Show an instance, asked for its health")
    async def show(self, number: Number, gateway: TheGateway) -> InstanceView:
        return await _shown(gateway, await _load(gateway, number), await _boots(gateway))

    @get("/{number:int}/strays", summary="Sessions that it lists and that are not placed on it")
    async def strays(self, number: Number, gateway: TheGateway, caller: Asking) -> StraysView:
        """By its list as it is now. Each can be taken up: `session_id` and `instance_url` of a new account."""
        operator(caller)
        url = (await instance_of(gateway, number)).url
        return strays_view(url, await gateway.strays.of(url))

    @patch("/{number:int}", summary="Change what an instance may hold, its name and its labels")
    async def change(
        self, number: Number, data: JSONBody[InstanceChangesBody], gateway: TheGateway, caller: Asking
    ) -> InstanceView:
        operator(caller)
        instance = await instance_of(gateway, number)
        changes = _changes(data)
        _possible(gateway, instance, changes)
        await gateway.stores.directory.change_instance(instance.url, changes)
        return await _shown(gateway, await _load(gateway, number), await _boots(gateway))

    @delete("/{number:int}", opt=also(409), summary="Take an empty instance out of the fleet")
    async def remove(self, number: Number, gateway: TheGateway, caller: Asking) -> None:
        operator(caller)
        instance = await instance_of(gateway, number)
        if not await gateway.stores.directory.delete_instance(instance.url):
            detail = f"Sessions are placed on {instance.url}; drain it, and move or delete their accounts first"
            raise Problem(Code.INSTANCE_IN_USE, detail)

    @post("/{number:int}/drain", status_code=202, summary="Give it nothing new, and bring all that it has elsewhere")
    async def drain(self, number: Number, gateway: TheGateway, caller: Asking) -> DrainView:
        """What can leave and what cannot is told at once. Asking again goes on with what is left. How far it is:
        `draining` of the instance.
        """
        operator(caller)
        url = (await instance_of(gateway, number)).url
        prospect = await gateway.moving.prospects.of(url)
        return drain_view(await gateway.moving.drains.drain(url), prospect)

    @post("/{number:int}/undrain", status_code=200, summary="Let it take sessions again, and keep those it has")
    async def undrain(self, number: Number, gateway: TheGateway, caller: Asking) -> DrainView:
        operator(caller)
        return drain_view(await gateway.moving.drains.undrain((await instance_of(gateway, number)).url))

    @post(
        "/{number:int}/exited",
        opt=also(409),
        status_code=202,
        summary="No process of it runs any more: bring its sessions back",
    )
    async def exited(
        self, number: Number, gateway: TheGateway, caller: Asking, data: JSONBody[ExitedBody | None] = None
    ) -> ExitedView:
        """To be said only by whoever supervises the whole process group: it is what fences the sessions."""
        operator(caller)
        instance = await instance_of(gateway, number)
        return await _exited(gateway, instance.url, data.incarnation if data is not None else None)

    @post(
        "/exited",
        opt=also(404, 409),
        status_code=202,
        summary="The same, for a supervisor's hook that knows only the address",
    )
    async def exited_by_url(self, data: JSONBody[ExitedByUrlBody], gateway: TheGateway, caller: Asking) -> ExitedView:
        operator(caller)
        return await _exited(gateway, url_of(data.url, "url"), data.incarnation)


def _key_salt(gateway: Gateway, driver: str) -> str | None:
    """What its own key is made of, for a gateway that asks us for its sessions and has to show who it is."""
    if driver not in ASKS_FOR_ITS_SESSIONS or not gateway.settings.own_key_secret:
        return None
    return gateway.entropy.token(SALT_BYTES).hex()


async def _found(gateway: Gateway, url: InstanceUrl, data: InstanceBody) -> tuple[str, GatewayFound]:
    """Its driver, and what answers there; with `force`, what would have been refused is its warning."""
    if url in {known.url for known in await gateway.stores.directory.instances()}:
        raise Problem(Code.ALREADY_EXISTS, f"the instance {url} is known already")
    recognised = await gateway.fleet.recognise(url, timeout_s=RECOGNISE_TIMEOUT_S)
    family = data.driver or DEFAULT_FAMILY
    try:
        family = family_of(url, data.driver, recognised, gateway.fleet.families())
        if not gateway.fleet.recognises(family) and isinstance(recognised, Recognised) and recognised.gateway is None:
            recognised = None  # a family whose face nobody knows shows by its list what it is
        return family, await found_at(url, family, gateway.fleet.speaking(family), recognised)
    except Problem as problem:
        if not data.force or problem.code is Code.ADDRESS_REFUSED:
            raise
        return family, GatewayFound(warning=problem.detail)


def _spoken(gateway: Gateway, family: str) -> None:
    """Raises Problem, naming the families that there are, if this is none of them."""
    if family not in gateway.fleet.families():
        known = ", ".join(sorted(gateway.fleet.families()))
        raise Problem(Code.INVALID_REQUEST, f"There is no driver {family!r}; known are {known}", field="driver")


def _possible(gateway: Gateway, instance: Instance, changes: InstanceChanges) -> None:
    """Raises Problem for a driver that there is not, and for a storage that its family cannot share."""
    family = changes.get("driver", instance.driver)
    if "driver" in changes:
        _spoken(gateway, family)
    _kept_rate(changes.get("labels", {}))
    storage = changes.get("storage", instance.storage)
    if storage is None or not {"driver", "storage"} & changes.keys() or family not in gateway.fleet.families():
        return
    if (
        why := movable.cannot_share(gateway.fleet.traits_of(family), storage, gateway.fleet.speaking(family).base)
    ) is not None:
        raise Problem(Code.INVALID_REQUEST, f"{instance.url}: {why}", field="storage")


def _kept_rate(labels: Mapping[str, str]) -> None:
    """Raises Problem for a rate of starts that nobody could keep to."""
    if (wrong := start_rate.wrong_with(labels)) is not None:
        raise Problem(Code.INVALID_REQUEST, wrong, field="labels")


async def _exited(gateway: Gateway, url: InstanceUrl, incarnation: str | None) -> ExitedView:
    boot = IncarnationId(incarnation) if incarnation is not None else None
    return exited_view(await gateway.moving.exits.exited(url, boot))


async def _load(gateway: Gateway, number: int) -> InstanceLoad:
    instance = await instance_of(gateway, number)
    loads = await gateway.stores.directory.loads()
    return next((load for load in loads if load.instance.url == instance.url), InstanceLoad(instance, 0, 0))


async def _boots(gateway: Gateway) -> dict[InstanceUrl, Incarnation]:
    return {boot.instance_url: boot for boot in await gateway.stores.leases.incarnations()}


async def _shown(gateway: Gateway, load: InstanceLoad, boots: Mapping[InstanceUrl, Incarnation]) -> InstanceView:
    url, watching = load.instance.url, gateway.watching
    health = await gateway.fleet.driver(url).health(url, timeout_s=HEALTH_TIMEOUT_S)
    load = load.away() if url in watching.down() else load
    shown = instance_view(load, health, gateway.alerts.of(Subject.instance(url)))
    wrong = gateway.fitness.misconfigured().get(url)
    judge(shown, watching.judged().get(url), boots.get(url), wrong)
    [known] = watching.loads_now([Load(load.instance, load.sessions)])
    if gateway.fleet.is_withheld(url):
        shown.mode = InstanceMode.OBSERVE.value
    shown.report_to = report_to(gateway.settings, load.instance, list(gateway.fleet.roster.instances.values()))
    shown.starts_per_min = start_rate.of(load.instance, gateway.fleet.traits(url))
    shown.forecast_sends_per_s = round(known.forecast_sends_per_s, 3)
    if load.instance.state is InstanceState.DRAINING:
        shown.draining = await _progress(gateway, load.instance)
    return shown


async def _progress(gateway: Gateway, instance: Instance) -> DrainView:
    return drain_view(await gateway.moving.drains.progress(instance))


def _changes(data: InstanceChangesBody) -> InstanceChanges:
    changes = InstanceChanges()
    if data.driver is not UNSET:
        changes["driver"] = data.driver
    if data.name is not UNSET:
        changes["name"] = data.name
    if data.capacity is not UNSET:
        changes["capacity"] = data.capacity
    if data.memory_limit_mb is not UNSET:
        changes["memory_limit_mb"] = data.memory_limit_mb
    if data.sends_limit_per_s is not UNSET:
        changes["sends_limit_per_s"] = data.sends_limit_per_s
    if data.labels is not UNSET:
        changes["labels"] = data.labels
    if data.mode is not UNSET:
        changes["mode"] = InstanceMode(data.mode)
    if data.storage is not UNSET:
        changes["storage"] = data.storage
    return changes


def _word(shown: InstanceView) -> str | None:
    """That it is ill outweighs that it is being emptied."""
    drains = shown.health == "healthy" and shown.state == InstanceState.DRAINING.value
    return "draining" if drains else shown.health
