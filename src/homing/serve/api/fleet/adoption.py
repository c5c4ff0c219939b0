"""`/instances/adopt` and `/instances/adoption`: bringing a running fleet in, and how its observation stands."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import Controller, get, post
from litestar.params import FromQuery, JSONBody
from msgspec import Meta

from homing.decide.knowledge.fleet_adoption import AdoptionResult, JudgedSession
from homing.flows.operations.adopt_fleet import AdoptedInstance, FleetAdopted, FleetWanted
from homing.flows.operations.recognising import NotAdopted
from homing.model.errors import Code, Problem
from homing.model.fleet import InstanceMode, WorkspaceId
from homing.model.instances.observing import ObservationReport, WouldHave
from homing.serve.api.context import OPERATOR, Asking, Limit, TheGateway, operator, url_of
from homing.serve.api.fields import Labels, Positive, SessionName
from homing.serve.http.described import also

URLS_MAX = 200
NAMED_MAX = 5_000
"""Sessions that one answer names; beyond, they are only counted."""
ADOPTED = frozenset({AdoptionResult.ADOPT, AdoptionResult.PLACE})
HERE = ADOPTED | {AdoptionResult.KNOWN}

Url = Annotated[str, Meta(min_length=1, max_length=500)]


class AdoptBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Gateways that run already. `key` is what they all want; without it they are shown what they are shown now.

    `driver` is the family where it cannot be recognised. `workspace_id` is whose accounts the sessions become; needed
    where there are several. They are observed until somebody says `route`. `sessions` are asked
    after where a gateway gives no list. `dry_run` only says what would be done.
    """

    urls: Annotated[list[Url], Meta(min_length=1, max_length=URLS_MAX)]
    key: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    driver: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    labels: Labels = {}
    workspace_id: Positive | None = None
    mode: Literal["observe", "route"] | None = None
    sessions: Annotated[list[SessionName], Meta(max_length=1000)] = []
    dry_run: bool = False


class AdoptedSessionView(msgspec.Struct):
    """One session that a gateway lists. `result` says what became of it: `adopted`, `placed` (its account was nowhere),
    `known`, or why it was not adopted: `elsewhere`, `held_twice`, `phone_taken`, `no_phone`, `refused`.

    `native_id` is what its gateway calls it.
    """

    session_id: str
    native_id: str
    phone: str | None
    status: str
    result: str
    reason: str
    account_id: int | None
    workspace_id: int


class AdoptedInstanceView(msgspec.Struct):
    """One gateway. `certainty` is how sure its family is: `sure`, `likely` or `told`; `why` says by what.

    `sessions` counts those that it lists, `adopted` those of them that are adopted now, `known` those that were before;
    `found` names them all, up to a bound. `oddities` are rows of its list that could not be taken as they stood.
    """

    url: str
    driver: str
    version: str | None
    mode: str
    sessions: int
    gateway: str
    certainty: str
    why: str
    new: bool
    adopted: int
    known: int
    not_adopted: int
    warning: str | None
    oddities: list[str]
    found: list[AdoptedSessionView]


class NotAdoptedView(msgspec.Struct):
    """An address where nothing was adopted, and why."""

    url: str
    code: str
    detail: str


class AdoptionView(msgspec.Struct):
    """What was adopted, or with `dry_run` would be."""

    instances: list[AdoptedInstanceView]
    refused: list[NotAdoptedView]
    adopted: int
    not_adopted: int
    dry_run: bool


class ObservationView(msgspec.Struct):
    """How the observation of one instance stands, over the last 30 days.

    `sessions` are recorded on it now. `lists` were read and `lists_failed` could not be; in those that were read,
    `recorded` sessions were looked for in sum and `seen` found: `agreement` is the share. `would_have` counts, by kind,
    the sessions with which something would have been done. `ready`: nothing speaks against routing it; `reason` says
    why.
    """

    url: str
    driver: str
    mode: str
    since: datetime | None
    sessions: int
    lists: int
    lists_failed: int
    recorded: int
    seen: int
    agreement: float | None
    strays: int
    would_have: dict[str, int]
    last_at: datetime | None
    ready: bool
    reason: str


class WouldHaveView(msgspec.Struct):
    """One thing that would have been done on an observed instance, and why. `session_id` null: with the instance."""

    url: str
    kind: str
    session_id: str | None
    reason: str
    first_at: datetime
    last_at: datetime
    times: int


class ObservationsView(msgspec.Struct):
    """All instances, and what would have been done lately, the newest first."""

    data: list[ObservationView]
    would_haves: list[WouldHaveView]
    next: None = None


class AdoptionController(Controller):
    """Bringing a running fleet in."""

    path = "/instances"
    tags = ["fleet"]
    guards = [OPERATOR]

    @post("/adopt", opt=also(422), status_code=200, summary="Adopt running gateways with all their sessions")
    async def adopt(self, data: JSONBody[AdoptBody], gateway: TheGateway, caller: Asking) -> AdoptionView:
        """Nothing is paired, started, stopped or sent. To do it again changes nothing.

        An address where nothing can be adopted is named in `refused`, with its reason.
        """
        operator(caller)
        wanted = FleetWanted(
            urls=[url_of(each, "urls") for each in data.urls],
            key=_key(data.key),
            driver=data.driver,
            labels=data.labels,
            workspace=WorkspaceId(data.workspace_id) if data.workspace_id is not None else None,
            mode=InstanceMode(data.mode) if data.mode is not None else None,
            sessions=data.sessions,
            dry_run=data.dry_run,
        )
        if not wanted.dry_run:
            subject = f"{len(wanted.urls)} addresses"
            await gateway.stores.audit.note("fleet.adopted", subject, {"urls": list(wanted.urls[:20])})
        return adoption(await gateway.adoption.gateways.adopt(wanted))

    @get("/adoption", summary="How the observation of each instance stands, and what would have been done")
    async def status(
        self, gateway: TheGateway, caller: Asking, url: FromQuery[str | None] = None, limit: Limit = 50
    ) -> ObservationsView:
        operator(caller)
        named = url_of(url, "url") if url is not None else None
        loads = await gateway.stores.directory.loads()
        loads = [load for load in loads if named in (None, load.instance.url)]
        if named is not None and not loads:
            raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {named}")
        reports = await gateway.adoption.observing.reports(loads)
        since = {load.instance.url: load.instance.mode_since for load in loads}
        would = await gateway.adoption.observing.newest(named, limit=limit)
        return ObservationsView([_observation(each, since[each.instance_url]) for each in reports], would_haves(would))


def _key(given: str | None) -> str | None:
    """A key that a header can carry. Raises Problem, without a word of it."""
    if given is not None and not (given.isascii() and given.isprintable()):
        raise Problem(Code.INVALID_REQUEST, "The key holds characters that no header can carry", field="key")
    return given


def adoption(adopted: FleetAdopted) -> AdoptionView:
    instances = [_instance(each) for each in adopted.instances]
    return AdoptionView(
        instances=instances,
        refused=[_refused(each) for each in adopted.refused],
        adopted=sum(each.adopted for each in instances),
        not_adopted=sum(each.not_adopted for each in instances),
        dry_run=adopted.dry_run,
    )


def _instance(adopted: AdoptedInstance) -> AdoptedInstanceView:
    found, counts = adopted.found, adopted.counts
    return AdoptedInstanceView(
        url=found.url,
        driver=found.family,
        version=found.version,
        mode=adopted.mode.value,
        sessions=len(adopted.sessions),
        gateway=found.gateway,
        certainty=found.certainty.value,
        why=found.reason,
        new=adopted.new,
        adopted=sum(counts[each] for each in ADOPTED),
        known=counts[AdoptionResult.KNOWN],
        not_adopted=sum(count for result, count in counts.items() if result not in HERE),
        warning=found.warning,
        oddities=list(adopted.oddities),
        found=[_session(each) for each in adopted.sessions[:NAMED_MAX]],
    )


def _session(judged: JudgedSession) -> AdoptedSessionView:
    return AdoptedSessionView(
        session_id=judged.session_id,
        native_id=judged.row.session_id,
        phone=judged.phone,
        status=judged.row.status.value,
        result=judged.result.value,
        reason=judged.reason,
        account_id=judged.account_id,
        workspace_id=judged.workspace_id,
    )


def _refused(refused: NotAdopted) -> NotAdoptedView:
    return NotAdoptedView(refused.url, refused.code.value, refused.reason)


def _observation(report: ObservationReport, since: datetime | None) -> ObservationView:
    agreement = report.agreement
    return ObservationView(
        url=report.instance_url,
        driver=report.driver,
        mode=report.mode.value,
        since=since,
        sessions=report.sessions,
        lists=agreement.lists,
        lists_failed=agreement.lists_failed,
        recorded=agreement.recorded,
        seen=agreement.seen,
        agreement=round(agreement.share, 4) if agreement.share is not None else None,
        strays=agreement.strays,
        would_have={kind.value: count for kind, count in sorted(report.would_haves.items())},
        last_at=agreement.last_at,
        ready=report.ready,
        reason=report.reason,
    )


def would_haves(would: Sequence[WouldHave]) -> list[WouldHaveView]:
    return [
        WouldHaveView(
            each.instance_url,
            each.kind.value,
            each.session_id or None,
            each.reason,
            each.first_at,
            each.last_at,
            each.times,
        )
        for each in would
    ]
