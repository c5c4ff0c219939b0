"""`homing recycle`: instances started anew, one after the other, each emptied first."""

from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from homing.cli.fleet.instances import number_of
from homing.cli.fleet.moving import emptied
from homing.cli.sources.client import Document, path
from homing.cli.sources.gateway import GatewayClient
from homing.cli.sources.source import gateway
from homing.cli.terminal.options import AsJson, InstanceRef
from homing.cli.terminal.output import note, print_json
from homing.cli.terminal.stops import NeedsAttention
from homing.cli.terminal.waiting import Timeout, until


@dataclass(slots=True)
class _Boot:
    """Tells when another process answers at an address: by its incarnation, or, where it has none, because the address
    did not answer in between."""

    incarnation: str | None
    was_away: bool = False

    def is_new(self, row: Document) -> bool:
        """Whether a new process answers there, and is well."""
        if not row["healthy"]:
            self.was_away = True
            return False
        is_another = row["incarnation"] != self.incarnation if self.incarnation is not None else self.was_away
        return is_another and row["health"] in (None, "healthy")


def recycle(
    instances: Annotated[list[InstanceRef], Parameter(consume_multiple=True)],
    /,
    *,
    with_gap: Annotated[
        bool, Parameter(negative="", help="Go on although some sessions cannot leave: they are away until it is up.")
    ] = False,
    supervised: Annotated[
        bool, Parameter(negative="", help="Have HOMING_SUPERVISOR_URL start them; otherwise you do.")
    ] = False,
    timeout: Timeout = 3_600.0,
    as_json: AsJson = False,
) -> None:
    """Start instances anew without losing a message: empty one, wait for its new process, fill it again, go on.

    Homing starts and stops no process: when an instance is empty it says so, and waits until you, or your supervisor,
    have started it anew and the new process is well. Then it takes sessions again, and the next one's turn comes.
    Ctrl-C leaves the one that is under way empty and draining; `homing undrain` ends that.

    With `--supervised` the gateway does it, and goes on if this command ends: the supervisor that the settings name is
    told over a signed webhook when an instance is empty.

    Example: `homing recycle http://wa1.internal:3001 http://wa2.internal:3001`

    Example: `homing recycle http://wa1.internal:3001 --supervised`

    Exit codes: 0 all were started anew; 1 one of them was not, and those after it were left alone.
    """
    asked = gateway("`homing recycle`")
    numbers = [number_of(asked, each) for each in instances]
    if supervised:
        done = _supervised(asked, numbers, timeout, with_gap=with_gap)
    else:
        done = [_recycled(asked, number, timeout, with_gap=with_gap, quiet=as_json) for number in numbers]
    if as_json:
        print_json({"recycled": done})
    else:
        print(f"{len(done)} instances were started anew.")


def _recycled(asked: GatewayClient, number: int, timeout_s: float, *, with_gap: bool, quiet: bool) -> dict[str, Any]:
    row = asked.get(path("instances", number))
    boot, url = _Boot(row["incarnation"]), str(row["url"])
    progress = emptied(asked, number, asked.post(path("instances", number, "drain")), timeout_s)
    left = int(progress["remaining"])
    if left and not with_gap:
        asked.post(path("instances", number, "undrain"))
        raise NeedsAttention(
            f"{left} sessions cannot leave {url}, which takes sessions again; with `--with-gap` they are away until its"
            " new process is up"
        )
    if not quiet:
        gap = f"; {left} sessions stay on it and are away meanwhile" if left else ""
        note(f"{url} is {'emptied' if left else 'empty'}{gap}. Start its process anew now; waiting for it.")

    def came_up() -> Document | None:
        now = asked.get(path("instances", number))
        return now if boot.is_new(now) else None

    came = until(came_up, timeout_s)
    if came is None:
        raise NeedsAttention(f"No new process has come up at {url}; it is still draining: `homing undrain {url}`")
    asked.post(path("instances", number, "undrain"))
    if not quiet:
        print(f"{url} was started anew and takes sessions again.")
    return {"url": url, "incarnation": came["incarnation"], "stayed": left}


def _supervised(asked: GatewayClient, numbers: list[int], timeout_s: float, *, with_gap: bool) -> list[dict[str, Any]]:
    """Have the gateway do it, and wait until all are over."""
    body = {"with_gap": True} if with_gap else {}
    wanted = {asked.post(path("instances", number, "recycle"), body)["id"] for number in numbers}

    def over() -> list[Document] | None:
        rows = [each for each in asked.get("/recycles?limit=500")["data"] if each["id"] in wanted]
        return rows if all(each["ended_at"] is not None for each in rows) else None

    rows = until(over, timeout_s)
    if rows is None:
        raise NeedsAttention("They are not all started anew yet; the gateway goes on with it")
    failed = [each for each in rows if each["state"] == "failed"]
    if failed:
        raise NeedsAttention("; ".join(f"{each['instance_url']}: {each['result']}" for each in failed))
    return [{"url": each["instance_url"], "stayed": each["stayed"]} for each in rows]
