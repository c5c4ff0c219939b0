"""`homing drain`, `undrain`, `exited` and `rebalance`: bringing many sessions elsewhere."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from homing.cli.fleet.instances import number_of
from homing.cli.sources.client import Document, path
from homing.cli.sources.gateway import GatewayClient
from homing.cli.sources.source import gateway, source_of_truth
from homing.cli.terminal.options import AsJson, InstanceRef
from homing.cli.terminal.output import Columns, note, print_json, print_rows
from homing.cli.terminal.stops import NeedsAttention
from homing.cli.terminal.waiting import Timeout, Wait, bar, move_ended, until

_STUCK: Columns = {"account": "account_id", "phone": "phone", "session": "session_id", "why": "reason"}


def drain(instance: InstanceRef, /, *, wait: Wait = True, timeout: Timeout = 600.0, as_json: AsJson = False) -> None:
    """Empty an instance, for a deploy: it is given nothing new, and each of its sessions is brought elsewhere.

    Idle sessions go first. Messages for a session that is on its way wait at the gateway, so that nobody sees an error.
    It goes on without this command; asking again tries once more what is stuck. When it is empty, restart it and let it
    take sessions again: `homing undrain`. `--no-wait` says at once how many can leave, which cannot, and why.

    Example: `homing drain http://wa2.internal:3001`

    Exit codes: 0 it is empty (with `--no-wait`: all that it has can leave); 1 some sessions are stuck or cannot leave,
    each named with its reason, or the time was over.
    """
    asked = gateway("`homing drain`")
    number = number_of(asked, instance)
    progress = asked.post(path("instances", number, "drain"))
    if wait:
        progress = emptied(asked, number, progress, timeout)
    if as_json:
        print_json(progress)
    if not wait and progress.get("staying"):
        _tell_staying(progress, quiet=as_json)
    _conclude_drain(progress, waited=wait, quiet=as_json)


def undrain(instance: InstanceRef, /, *, as_json: AsJson = False) -> None:
    """Let an instance take sessions again. Those whose move has not begun yet stay where they are.

    Example: `homing undrain http://wa2.internal:3001`
    """
    asked = gateway("`homing undrain`")
    progress = asked.post(path("instances", number_of(asked, instance), "undrain"))
    if as_json:
        print_json(progress)
    else:
        print(f"{progress['instance_url']} takes sessions again; {_are(progress['remaining'])} on it.")


def exited(
    url: Annotated[str, Parameter(help="Its base address: http://host:3001.")],
    /,
    *,
    incarnation: Annotated[
        str | None, Parameter(help="Only this boot of it. [default: every boot at the address]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say that no process of an instance runs any more, so that its sessions are brought elsewhere at once.

    Homing takes your word for it: it is what proves that the old holder cannot act. So it is to be said only by
    whoever supervises the whole process group. Under systemd, in the unit of the instance:
    `ExecStopPost=/opt/homing/bin/homing exited http://wa2.internal:3001`. Works through a gateway; where
    none is named, or that one is away, with `HOMING_DATABASE_URL`, without one.

    A gateway that holds no lease, such as the Node service, is asked first: while its address answers, this is refused
    (`still_answers`). The browsers must be gone too: Chrome can outlive a killed node. Its sessions go to another
    instance with the same storage (`homing instances set URL --storage NAME`), and to no other; without shared storage
    they stay, and come back when it comes up again.

    Example: `homing exited http://wa2.internal:3001`
    """
    said = source_of_truth().post("/instances/exited", {"url": url, "incarnation": incarnation})
    if as_json:
        print_json(said)
        return
    of_all = f"{said['wanted']} of its {_sessions(said['sessions'])}"
    print(f"{said['instance_url']} has exited; {of_all} are on their way elsewhere.")
    for reason, count in said["staying"].items():
        note(f"Staying: {count}, because {reason}.")
    if said.get("note"):
        note(f"{said['note'][:1].upper()}{said['note'][1:]}.")


def rebalance(
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Show the plan, and move nothing.")] = False,
    wait: Wait = True,
    timeout: Timeout = 600.0,
    as_json: AsJson = False,
) -> None:
    """Spread the sessions evenly over the instances, by what each can take.

    Shows what moves, in which order (idle sessions first), from where, to where, why, and for how long each will
    probably not be able to send; messages for it wait meanwhile. No session is moved more often a day than
    `HOMING_MOVES_PER_DAY`.

    Example: `homing rebalance --dry-run`

    Exit codes: 0 done; 1 some of the moves did not come about, or the time was over.
    """
    asked = gateway("`homing rebalance`")
    plan = asked.post("/rebalance", {"dry_run": dry_run}, slow=True)
    if not as_json:
        _show_plan(plan)
    stuck = _carried_out(asked, plan["moves"], timeout) if wait and not dry_run else []
    if as_json:
        print_json(plan | {"stuck": stuck})
    elif stuck:
        print_rows(_STUCK, stuck, none="")
    if stuck:
        raise NeedsAttention(f"{len(stuck)} of {len(plan['moves'])} moves did not come about")
    if wait and plan["moves"] and not dry_run and not as_json:
        print(f"All {len(plan['moves'])} moves are done.")


# --- draining -------------------------------------------------------------------------------------------------


def emptied(asked: GatewayClient, number: int, begun: Document, timeout_s: float) -> Document:
    """How far it is when nothing moves any more, or when the time is over."""
    newest, total = begun, begun["remaining"]

    with bar(f"Emptying {begun['instance_url']}") as advance:

        def over() -> Document | None:
            nonlocal newest, total
            newest = _progress(asked, number) or newest | {"state": "active"}
            total = max(total, newest["remaining"])
            advance(total - newest["remaining"], total)
            over = newest["remaining"] == newest["stuck"] or newest["state"] == "active"
            return newest if over else None

        until(over, timeout_s)
    return newest


def _progress(asked: GatewayClient, number: int) -> Document | None:
    """How far it is; None if somebody lets the instance take sessions again."""
    progress: Document | None = asked.get(path("instances", number))["draining"]
    return progress


def _conclude_drain(progress: Document, *, waited: bool, quiet: bool) -> None:
    remaining, stuck, url = progress["remaining"], progress["stuck"], progress["instance_url"]
    if progress["state"] == "active":
        raise NeedsAttention(f"Somebody let {url} take sessions again: it is not being emptied any more")
    if stuck and not quiet:
        print_rows(_STUCK, progress["stuck_sessions"], none="")
    if stuck:
        raise NeedsAttention(f"{_are(stuck)} stuck on {url}; {remaining - stuck} more on the way")
    if waited and remaining:
        raise NeedsAttention(f"{url} still has {_sessions(remaining)}{_delays(progress)}; its emptying goes on")
    if not quiet:
        print(f"{url} is empty." if not remaining else f"{_are(remaining)} leaving {url}.")


def _tell_staying(progress: Document, *, quiet: bool) -> None:
    """What cannot leave as things stand, before anything was tried."""
    staying, leaving, url = progress["staying"], progress["leaving"], progress["instance_url"]
    if not quiet:
        print_rows(_STUCK, progress["staying_sessions"], none="")
        if (unnamed := staying - len(progress["staying_sessions"])) > 0:
            note(f"{unnamed} more cannot leave either.")
    raise NeedsAttention(f"{_sessions(staying)} cannot leave {url} as things stand; {_are(leaving)} leaving")


def _delays(progress: Document) -> str:
    delayed: dict[str, int] = progress["delayed"]
    return "".join(f"; {count} wait because {reason}" for reason, count in delayed.items())


# --- balancing ------------------------------------------------------------------------------------------------

_PLAN: Columns = {
    "#": "order",
    "account": "account_id",
    "phone": "phone",
    "from": "from_url",
    "to": "to_url",
    "gap": lambda row: f"{row['expected_gap_ms']} ms",
    "why": "why",
}


def _show_plan(plan: Document) -> None:
    if plan["moves"]:
        print_rows(_PLAN, plan["moves"], none="")
    for skipped in plan["skipped"]:
        note(f"Account {skipped['account_id']} ({skipped['phone']}) stays: {skipped['reason']}.")
    print(f"{plan['reason'][:1].upper()}{plan['reason'][1:]}.")


def _carried_out(asked: GatewayClient, moves: Sequence[dict[str, Any]], timeout_s: float) -> list[dict[str, Any]]:
    """Waits until each move came about or was given up; those that did not come about, with their reasons."""
    pending = {move["account_id"]: move for move in moves}
    stuck: list[dict[str, Any]] = []
    with bar("Moving sessions") as advance:

        def over() -> bool | None:
            for account in list(pending):
                _look_after(asked, account, pending, stuck)
            advance(len(moves) - len(pending), len(moves))
            return None if pending else True

        until(over, timeout_s)
    return stuck + [move | {"reason": "it was still on its way when the time was over"} for move in pending.values()]


def _look_after(
    asked: GatewayClient, account: int, pending: dict[int, dict[str, Any]], stuck: list[dict[str, Any]]
) -> None:
    ended = move_ended(asked.get(path("accounts", account)), pending[account]["from_url"], None)
    if ended is None:
        return
    move = pending.pop(account)
    if ended:
        stuck.append(move | {"reason": ended})


def _sessions(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return f"{_sessions(count)} {'is' if count == 1 else 'are'}"
