"""What requests on accounts hold, and how accounts and what becomes of their sessions are shown."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from homing.decide.knowledge import presence
from homing.decide.starting.restoring import Blocked, LeaveAlone, Present, StartAgain, Vanished, Verdict, Wait
from homing.flows.failover.restoring import RestoreJudgment
from homing.flows.operations.pairing import Shown
from homing.model.alerts import Alert
from homing.model.fleet import Account, DeafPolicy, InstanceUrl, Takeover
from homing.model.work import Job
from homing.ports import AccountChanges
from homing.serve.api.attention import ADVICE, AttentionView, attention_view
from homing.serve.api.fields import Chosen, ChosenId, Labels, Name, Phone, Positive, SessionName

ExitProxyField = Annotated[str, Meta(min_length=1, max_length=1_000)]


class OpenMoveView(msgspec.Struct):
    """A move that is not over: waited for (`ready`), under way (`running`), or given up (`dead`) for this reason."""

    state: str
    attempts: int
    to_url: str | None
    wanted_because: str
    reason: str
    since: datetime


class AccountView(msgspec.Struct):
    """An account, with where its session is. `reason` says what to do, where the status asks for it.

    `state` is that of the placement: `held`, or `moving` there. `move` is told only of one account that is shown.
    `status` is what is known now, by what was seen `status_age_s` ago. `reported_phone` is what its instance reports,
    while that is somebody else's than `phone`: then nothing is sent. `native_id` is what its gateway calls the session,
    where gateways give names of their own. `exit_proxy` is by which proxy it goes out, its login masked. `error` is why
    its session cannot go on, in its gateway's word; like `move` it is told only of one account that is shown.
    """

    id: int
    uuid: str
    workspace_id: int
    session_id: str
    phone: str
    name: str
    instance_url: str | None
    epoch: int
    state: str
    status: str
    takeover: str
    requires: dict[str, str]
    last_verified_at: datetime | None
    created_at: datetime
    reason: str | None = None
    status_age_s: float | None = None
    move: OpenMoveView | None = None
    reported_phone: str | None = None
    attention: list[AttentionView] = []
    native_id: str | None = None
    deaf_policy: str | None = None
    exit_proxy: str | None = None
    error: str | None = None


class RenewCodeBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """With `typed` a code to type into the account's own phone, and not one to scan."""

    typed: bool = False


class PairingView(msgspec.Struct):
    """The newest code that links a phone; `expires_in` is what it has left, in seconds.

    `qr` is the text to draw as a QR code, `code` one to type. Where the instance tells a picture alone, `picture` is
    that, as a data URL, and `qr` is what was read in it: empty if it could not be read. An expired code is followed by
    the next one as long as the instance makes them; `POST` asks for a new one.
    """

    qr: str | None
    picture: str | None
    code: str | None
    expires_in: int
    expired: bool
    received_at: datetime | None


class AccountBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new account. With `start` its session is opened at once, on the least loaded healthy instance.

    `requires` are labels that an instance must have to hold it. With `session_id` a session is taken up that runs
    already: on `instance_url`, or wherever exactly one instance lists it; one that is listed as up is not started.
    `exit_proxy` is by which proxy its session goes out, `http://user:password@host:port`; for operators to give.
    """

    phone: Phone
    workspace_id: Positive | None = None
    name: Name = ""
    takeover: Literal["never", "manual", "auto"] | None = None
    requires: Labels = {}
    start: bool = True
    session_id: SessionName | None = None
    uuid: Chosen | None = None
    id: ChosenId | None = None
    instance_url: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    exit_proxy: ExitProxyField | None = None


class AccountChangesBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be changed of an account. `requires` replaces all labels; where the session is now does not change.

    `deaf_policy` is what may be done by itself once its session is deaf: `observe` (say so), `restart` it in place, or
    `full` (elsewhere too, where that can be fenced); null: as its workspace says.

    `exit_proxy` is told at its session's next start, on every instance; for operators to give; null: none. Where it
    cannot be told, the session is not started.

    The last four only while the account is nowhere; with `instance_url` its session is taken up there.
    """

    takeover: Literal["never", "manual", "auto"] | UnsetType = UNSET
    requires: Labels | UnsetType = UNSET
    deaf_policy: Literal["observe", "restart", "full"] | UnsetType | None = UNSET
    exit_proxy: ExitProxyField | UnsetType | None = UNSET
    session_id: SessionName | UnsetType = UNSET
    uuid: Chosen | UnsetType = UNSET
    id: ChosenId | UnsetType = UNSET
    instance_url: Annotated[str, Meta(min_length=1, max_length=500)] | UnsetType = UNSET

    def changes(self) -> AccountChanges:
        """What of it is set as it is given; names and places are changed otherwise."""
        changes = AccountChanges()
        if self.takeover is not UNSET:
            changes["takeover"] = Takeover(self.takeover)
        if self.requires is not UNSET:
            changes["requires"] = self.requires
        if self.deaf_policy is not UNSET:
            changes["deaf_policy"] = DeafPolicy(self.deaf_policy) if self.deaf_policy is not None else None
        return changes


class StartAllBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Start what its instances lost. `instance_url`: on this instance alone."""

    instance_url: str | None = None


class RehomeBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Bring a session back. `force`: although its takeover is `never`."""

    force: bool = False


class MigrateBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where a session is to go: an instance's address or number; null: wherever there is most room.

    `force`: although its takeover is `never`.
    """

    to: Annotated[str, Meta(min_length=1, max_length=500)] | Positive | None = None
    force: bool = False


_WORDS: dict[type[Verdict], str] = {
    StartAgain: "start",
    Wait: "wait",
    Blocked: "blocked",
    Vanished: "alert",
    LeaveAlone: "leave",
    Present: "present",
}


class MissingView(msgspec.Struct):
    """One session that its instance does not have, or that is none to be started. `verdict` is `start`, `wait`,
    `blocked`, `alert` or `leave`; `after_s` is the soonest that one which waits may be started."""

    account_id: int
    session_id: str
    instance_url: str
    verdict: str
    reason: str
    after_s: float | None


class StartedAllView(msgspec.Struct):
    """How many sessions there were of each verdict, those that are `present` too, and all others by name."""

    counts: dict[str, int]
    sessions: list[MissingView]


class PairingLinkBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How long the link opens, in seconds: a quarter of an hour unless told otherwise, a day at most."""

    expires_in_s: Annotated[int, msgspec.Meta(ge=60, le=86_400)] = 900


class PairingLinkView(msgspec.Struct):
    """A link for the phone's owner. It is shown here once, and kept nowhere."""

    url: str
    expires_at: datetime


def account_view(
    account: Account,
    alerts: Sequence[Alert] = (),
    job: Job | None = None,
    *,
    now: datetime,
    away: Collection[InstanceUrl] = (),
    error: str | None = None,
) -> AccountView:
    """As it is known `now`, with the instances that are `away` out of reach."""
    status, outdated = presence.status_now(account, now, away)
    return AccountView(
        id=account.id,
        uuid=account.uuid,
        workspace_id=account.workspace_id,
        session_id=account.session_id,
        phone=account.phone,
        name=account.name,
        instance_url=account.placement.instance_url,
        epoch=account.placement.epoch,
        state=account.placement.state.value,
        status=status.value,
        status_age_s=round(max(0.0, (now - presence.seen_at(account)).total_seconds()), 1),
        takeover=account.takeover.value,
        requires=account.requires,
        last_verified_at=account.last_verified_at,
        created_at=account.created_at,
        reason=outdated or ADVICE.get(account.status),
        move=_open_move(job) if job is not None else None,
        reported_phone=account.mismatched_phone,
        native_id=account.native_id,
        deaf_policy=account.deaf_policy.value if account.deaf_policy is not None else None,
        exit_proxy=account.exit_proxy,
        attention=attention_view(alerts),
        error=error,
    )


def _open_move(job: Job) -> OpenMoveView:
    to_url, because = job.payload.get("to_url"), job.payload.get("reason", "")
    return OpenMoveView(job.state.value, job.attempts, to_url, because, job.reason, job.created_at)


def pairing_view(shown: Shown) -> PairingView:
    return PairingView(shown.qr, shown.picture, shown.code, shown.expires_in_s, shown.expired, shown.received_at)


def started_all_view(judged: Sequence[RestoreJudgment]) -> StartedAllView:
    counts = Counter(_WORDS[type(each.verdict)] for each in judged)
    return StartedAllView(dict(counts), [_missing(each) for each in judged if not isinstance(each.verdict, Present)])


def _missing(judged: RestoreJudgment) -> MissingView:
    verdict, session = judged.verdict, judged.recorded
    after_s = round(verdict.after_s, 1) if isinstance(verdict, Wait) else None
    word = _WORDS[type(verdict)]
    return MissingView(session.account_id, session.session_id, judged.url, word, verdict.reason, after_s)
