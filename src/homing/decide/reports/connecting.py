"""What has to happen for a session to report to us, and what would its owner lose by it?"""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from homing.model.instances.webhooks import WebhookFound


class Wiring(StrEnum):
    """What is done with the address that a session reports to. Stable words."""

    CONNECTED = "connected"
    """It reports to us already."""
    ADD = "add"
    """Ours is put beside what is there, or where nothing is."""
    REPLACE = "replace"
    """Its family has room for one address, and ours takes the place of another one."""
    REFUSED = "refused"
    """The same, and nobody has said that the other one may go."""
    FAILED = "failed"
    """Its gateway did not take it, or did not tell."""
    RESTORED = "restored"
    """Ours was taken away, and what was there before is back."""


@dataclass(frozen=True, slots=True)
class WiringPlan:
    """What is to be done for one session, and why. `lost` are the addresses that it would not report to any more."""

    wiring: Wiring
    reason: str
    lost: tuple[str, ...] = ()


def plan(found: WebhookFound, *, several: bool, readable: bool, restarts: bool, replace: bool) -> WiringPlan:
    """What is to be done. `several`, `readable` and `restarts` are what the family is like; `replace`: by all means."""
    shown = tuple(shown_url(url) for url in found.others)
    pause = "; setting it restarts the session, which sends nothing meanwhile" if restarts else ""
    if found.ours:
        return WiringPlan(Wiring.CONNECTED, "it reports to this gateway")
    if several:
        beside = f"beside {', '.join(shown)}" if shown else "where it reported to nobody"
        return WiringPlan(Wiring.ADD, f"this gateway is added {beside}{pause}")
    if not shown and readable:
        return WiringPlan(Wiring.ADD, f"it reports to nobody yet{pause}")
    at = f"it reports to {shown[0]}" if shown else "where it reports now cannot be asked"
    lost = shown or ("whatever it reports to now",)
    if not replace:
        why = f"{at}, and its gateway has room for one address: that would be lost. Say so with --replace"
        return WiringPlan(Wiring.REFUSED, why, lost)
    kept = "; it is remembered, and --undo puts it back" if found.kept is not None else ""
    return WiringPlan(Wiring.REPLACE, f"{at}, which is replaced{kept}{pause}", lost)


def shown_url(url: str) -> str:
    """An address of somebody else's as it may be shown: without what follows its path, where secrets stand."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "an address that is none"
    if parts.scheme not in ("http", "https") or not host:
        return "an address that is none"
    return f"{parts.scheme}://{host}{parts.path}"[:200]
