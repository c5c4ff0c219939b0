"""Can this session be moved at all, and if not, what would be needed?"""

from homing.decide.fleet.labels import lacks
from homing.decide.moves import rules
from homing.model.errors import Code, Problem
from homing.model.fleet import (
    Account,
    Capabilities,
    Instance,
    InstanceState,
    InstanceUrl,
    SessionStatus,
    Takeover,
)
from homing.model.instances.gateways import Traits

_RELUCTANCE = (Takeover.NEVER, Takeover.MANUAL, Takeover.AUTO)


def takeover(wanted: Takeover, traits: Traits) -> Takeover:
    """Who may start a session of an instance of this family elsewhere: no more than is wanted, or than its family has.

    Nothing fences foreign families. An operator vouches for a fence by saying that the instance has exited.
    """
    return min(wanted, traits.takeover, key=_RELUCTANCE.index)


def cannot_share(traits: Traits, storage: str | None, can: Capabilities) -> str | None:
    """Why its logins can be opened by no other instance; None: by those of its family that have its storage."""
    if traits.takeover is Takeover.NEVER:
        return f"nothing of {traits.title} is opened elsewhere: {traits.logins}"
    if storage is None:
        return "its logins are on its own disk alone: they can be opened only there"
    if not can.stop_keeps_login:
        return f"logins of {traits.title} cannot be opened by another instance, whatever storage they are on"
    return None


def cannot_leave(can: Capabilities) -> str | None:
    """What an instance would have to be able to do before its sessions could be opened elsewhere; None: it can."""
    missing = []
    if not can.share_credentials:
        missing.append("keep its logins in the vault (share_credentials)")
    if not can.stop_keeps_login:
        missing.append("stop a session without logging it out (stop_keeps_login)")
    return f"its gateway would have to {' and '.join(missing)}" if missing else None


def cannot_take(can: Capabilities) -> str | None:
    """Why an instance cannot open a login that was made elsewhere; None: it can."""
    return None if can.share_credentials else "it does not open logins from the vault (share_credentials)"


def resting(account: Account) -> Problem | None:
    """Why an account's session is not one to be moved now, whoever asks."""
    if account.placement.instance_url is None:
        return Problem(Code.ACCOUNT_NOT_PLACED, f"Account {account.uuid} is on no instance; start it first")
    rest = rules.at_rest(account.status)
    if rest is None:
        return None
    code = Code.SESSION_LOGGED_OUT if account.status is SessionStatus.LOGGED_OUT else Code.NOT_MOVABLE
    return Problem(code, f"Account {account.uuid} is not moved: {rest.why}; {rest.first}")


def unfit(instance: Instance, account: Account) -> Problem | None:
    """Why this instance is not one for the account's session, however much room it has."""
    if instance.state is InstanceState.DRAINING:
        return Problem(Code.INSTANCE_UNFIT, f"{instance.url} is draining and is given nothing new; undrain it first")
    if (lacking := lacks(instance, account.requires)) is not None:
        detail = f"{instance.url} {lacking}, as account {account.uuid} requires"
        return Problem(Code.INSTANCE_UNFIT, detail)
    return None


def unfenced(url: InstanceUrl, *, answers: bool) -> str:
    """What an operator can do about a holder that nothing fences."""
    if answers:
        return (
            f"{url} answers: if it does not have the session, Homing starts it there once that is safe, or do so"
            " yourself: homing accounts start"
        )
    return alone(url)


def alone(url: InstanceUrl) -> str:
    """What can be done about the sessions of an instance that is down, and whose gateway keeps logins on a disk."""
    return (
        f"bring {url} up again, and its sessions come back by themselves; or, where its logins lie on storage that"
        f" others share (homing instances set {url} --storage NAME), say that it is gone once none of its processes"
        f" runs any more, its browsers too: homing exited {url}; or pair the phone anew on another instance"
    )
