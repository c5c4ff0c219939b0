"""What the API shows of sessions that instances list and that are not placed on them."""

import shlex

import msgspec

from homing.decide.knowledge.identity import phone_of
from homing.decide.knowledge.stray_sessions import Stray, StrayKind
from homing.flows.discovery.stray_sessions import StraysFound


class StrayView(msgspec.Struct):
    """A session that an instance lists and that is not placed there.

    `kind` is `unknown` (no account has it), `elsewhere` (the account's record says another place) or `same_phone` (no
    account has it, and `account_id` has its phone). `adopt` is the command that takes it up where it is.
    """

    instance_url: str
    session_id: str
    kind: str
    status: str
    phone: str | None
    workspace_id: int | None
    epoch: int | None
    account_id: int | None
    reason: str
    adopt: str | None


class StraysView(msgspec.Struct):
    """So many `strays`; `data` has the first hundred."""

    instance_url: str
    strays: int
    data: list[StrayView]


def stray(stray: Stray) -> StrayView:
    row = stray.row
    return StrayView(
        instance_url=stray.instance_url,
        session_id=row.session_id,
        kind=stray.kind.value,
        status=row.status.value,
        phone=row.phone,
        workspace_id=row.workspace_id,
        epoch=row.epoch,
        account_id=stray.account_id,
        reason=stray.reason,
        adopt=_adopting(stray) if stray.kind is not StrayKind.ELSEWHERE else None,
    )


def _adopting(stray: Stray) -> str:
    phone = phone_of(stray.row.phone) if stray.row.phone else None
    workspace = f" --workspace {stray.row.workspace_id}" if stray.row.workspace_id is not None else ""
    named = f"--session {shlex.quote(stray.session_id)} --instance {stray.instance_url}"
    return f"homing accounts create {f'+{phone}' if phone else 'PHONE'}{workspace} {named} --no-start"


def strays(url: str, found: StraysFound) -> StraysView:
    return StraysView(url, found.count, [stray(each) for each in found.named])
