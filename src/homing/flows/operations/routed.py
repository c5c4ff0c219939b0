"""What is only observed is not operated."""

from homing.model.errors import Code, Problem
from homing.model.fleet import InstanceMode, InstanceUrl
from homing.ports import Roster


def check_routed(roster: Roster, url: InstanceUrl, what: str) -> None:
    """Raises Problem INSTANCE_OBSERVED if the instance is only observed; `what` is what is not done there."""
    known = roster.instances.get(url)
    if known is not None and known.mode is InstanceMode.OBSERVE:
        detail = f"{url} is only observed, and {what}; to let Homing act there: homing instances set {url} --mode route"
        raise Problem(Code.INSTANCE_OBSERVED, detail)
