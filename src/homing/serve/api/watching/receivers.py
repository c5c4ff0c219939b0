"""`/receivers` and `/silences`: who is told of alerts, and of which nobody is told for a while."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, delete, get, post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from homing.model.alerts import About, AlertKind
from homing.model.deliveries.receivers import AlertSilence, Receiver, ReceiverId, ReceiverKind
from homing.model.errors import Code, Problem
from homing.serve.api.context import OPERATOR, Asking, Ref, TheGateway
from homing.serve.api.listing import Listing
from homing.serve.http.described import also


class ReceiverBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A receiver of alerts. `target` is a URL, or for e-mail a list of addresses; `options` are of e-mail: `server`,
    `port`, `from`, `user`, `tls`. `secret`: the password for mail, or a `whsec_` secret; else one is made.
    """

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    kind: Literal["webhook", "slack", "alertmanager", "email", "heartbeat"]
    target: Annotated[str, Meta(min_length=1, max_length=2000)]
    options: dict[str, str | int] = {}
    secret: Annotated[str, Meta(max_length=500)] = ""


class ReceiverView(msgspec.Struct):
    """A receiver. `failing_since`: since when it could not be told, `last_error` why. `secret` is shown once."""

    id: str
    name: str
    kind: str
    target: str
    options: dict[str, Any]
    created_at: datetime
    failing_since: datetime | None
    last_error: str
    last_told_at: datetime | None
    secret: str | UnsetType = UNSET


class ReceiverTrialView(msgspec.Struct):
    """Whether the receiver took a trial, and if not, why."""

    taken: bool
    reason: str


class SilenceBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is not told for `for_s` seconds: a kind of alert, one subject (a session, an instance's URL), or both."""

    kind: str | None = None
    about: Literal["session", "instance", "sender", "endpoint", "gateway", "fleet"] | None = None
    subject: Annotated[str, Meta(max_length=500)] = ""
    for_s: Annotated[int, Meta(ge=60, le=30 * 86_400)] = 3_600
    reason: Annotated[str, Meta(max_length=500)] = ""


class SilenceView(msgspec.Struct):
    """A silence that lasts; a null matches all."""

    id: str
    kind: str | None
    about: str | None
    subject: str
    until: datetime
    reason: str
    created_by: str
    created_at: datetime


class ReceiversController(Controller):
    """Who is told of alerts. Operators set them up, so they may be at private addresses, and not at link-local ones."""

    path = "/receivers"
    tags = ["operations"]
    guards = [OPERATOR]

    @get("/", summary="List the receivers of alerts")
    async def list_receivers(self, gateway: TheGateway) -> Listing[ReceiverView]:
        return Listing([_view(each) for each in await gateway.stores.receivers.all()])

    @post("/", summary="Tell somebody of alerts", opt=also(409, 422))
    async def create(self, data: JSONBody[ReceiverBody], gateway: TheGateway) -> ReceiverView:
        kind = ReceiverKind(data.kind)
        made = await gateway.receivers.create(data.name, kind, data.target, data.options, data.secret)
        return _view(made.receiver, made.secret)

    @delete("/{ref:str}", summary="Tell a receiver nothing more", opt=also(404))
    async def remove(self, ref: Ref, gateway: TheGateway) -> None:
        await gateway.receivers.remove(ReceiverId(ref))

    @post("/{ref:str}/test", status_code=200, summary="Tell a receiver that this is a trial", opt=also(404))
    async def trial(self, ref: Ref, gateway: TheGateway) -> ReceiverTrialView:
        error = await gateway.receivers.trial(ReceiverId(ref))
        return ReceiverTrialView(error is None, error or "it was taken")


class SilencesController(Controller):
    """Of what nobody is told for a while. The alerts stand, and are shown, all the same."""

    path = "/silences"
    tags = ["operations"]
    guards = [OPERATOR]

    @get("/", summary="List the silences that last")
    async def list_silences(self, gateway: TheGateway) -> Listing[SilenceView]:
        return Listing([_silence_view(each) for each in await gateway.stores.receivers.silences()])

    @post("/", summary="Silence alerts for a while", opt=also(422))
    async def create(self, data: JSONBody[SilenceBody], gateway: TheGateway, caller: Asking) -> SilenceView:
        made = await gateway.receivers.silence(
            _kind(data.kind),
            About(data.about) if data.about is not None else None,
            data.subject,
            for_s=data.for_s,
            reason=data.reason,
            by=caller.key.name or f"key {caller.key.id}",
        )
        return _silence_view(made)

    @delete("/{ref:str}", summary="End a silence", opt=also(404))
    async def remove(self, ref: Ref, gateway: TheGateway) -> None:
        await gateway.receivers.unsilence(ref)


def _kind(given: str | None) -> AlertKind | None:
    if given is None:
        return None
    try:
        return AlertKind(given)
    except ValueError as error:
        raise Problem(Code.INVALID_REQUEST, f"There is no kind of alert {given!r}", field="kind") from error


def _view(receiver: Receiver, secret: str = "") -> ReceiverView:
    return ReceiverView(
        id=receiver.id,
        name=receiver.name,
        kind=receiver.kind.value,
        target=receiver.target,
        options=dict(receiver.options),
        created_at=receiver.created_at,
        failing_since=receiver.failing_since,
        last_error=receiver.last_error,
        last_told_at=receiver.last_told_at,
        secret=secret or UNSET,
    )


def _silence_view(silence: AlertSilence) -> SilenceView:
    return SilenceView(
        id=silence.id,
        kind=None if silence.kind is None else silence.kind.value,
        about=None if silence.about is None else silence.about.value,
        subject=silence.subject,
        until=silence.until,
        reason=silence.reason,
        created_by=silence.created_by,
        created_at=silence.created_at,
    )
