"""`homing adopt`: bringing a running fleet in, and watching it before it is routed."""

import sys
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from homing.cli.sources.gateway import GatewayClient
from homing.cli.sources.source import gateway
from homing.cli.terminal.options import AsJson, Labels, labels
from homing.cli.terminal.output import Columns, Row, instant, moment, note, print_json, print_rows
from homing.cli.terminal.stops import ATTENTION, DONE, CannotStart

_ASKED_FOR = "-"
_SHOWN_MAX, _RENAMED_MAX = 100, 5


def adopt(
    urls: Annotated[list[str] | None, Parameter(name="URL", help="Where they answer: http://host:3000.")] = None,
    /,
    *,
    key: Annotated[
        str | None,
        Parameter(
            help="The key that they all want; -: asked for on the terminal, or read from a pipe.",
            allow_leading_hyphen=True,
        ),
    ] = None,
    driver: Annotated[
        str | None, Parameter(help="The gateway family, where it cannot be recognised. [default: the one that answers]")
    ] = None,
    label: Labels = None,
    workspace: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="Whose the sessions become; needed if there are several.")
    ] = None,
    mode: Annotated[
        Literal["observe", "route"] | None, Parameter(help="What may be done there from now on. [default: observe]")
    ] = None,
    session: Annotated[
        list[str] | None, Parameter(help="A session to ask after, where a gateway gives no list.", negative="")
    ] = None,
    dry_run: Annotated[bool, Parameter(negative="", show_default=False, help="Say what would be done.")] = False,
    status: Annotated[
        bool, Parameter(negative="", show_default=False, help="Show how the observation stands, of all or of URL….")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Bring gateways in that run already, with every session under its own id. Nothing is paired anew.

    It recognises which gateway answers, lists its sessions and makes an account for each, placed where it is. Nothing
    is started, stopped or sent: an adopted gateway is observed until `homing instances set URL --mode route`. To run
    it again changes nothing. A key on the command line is seen by others on this machine: `--key -` asks for it.

    Exit code 1 where nothing could be adopted at some address. Needs an operator's key.

    Example: `homing adopt http://waha-1:3000 http://waha-2:3000 --key - --dry-run`
    Example: `homing adopt --status`
    """
    asked = gateway("`homing adopt`")
    if status:
        return _status(asked, urls or [], as_json=as_json)
    if not urls:
        raise CannotStart(
            "Say where the gateways answer: homing adopt http://host:3000; or look: homing adopt --status"
        )
    body: dict[str, Any] = {"urls": urls, "labels": labels(label or []), "dry_run": dry_run}
    given = {"key": _key(key), "driver": driver, "workspace_id": workspace, "mode": mode, "sessions": session}
    body |= {name: value for name, value in given.items() if value is not None}
    adopted = asked.post("/instances/adopt", body, slow=True)
    if as_json:
        print_json(adopted)
    else:
        _show(adopted)
    return ATTENTION if adopted["refused"] else DONE


def _key(given: str | None) -> str | None:
    """The key, read without being shown where it is not given as an argument."""
    if given is not None and given.startswith("--"):
        raise CannotStart("--key is followed by a key, or by - to be asked for it")
    if given != _ASKED_FOR:
        return given
    if sys.stdin.isatty():
        from getpass import getpass

        key = getpass("Key of the gateways: ")
    else:
        key = sys.stdin.readline().rstrip("\n")
    if not key.strip():
        raise CannotStart("No key was given; without --key the gateways are asked without one of their own")
    return key


_INSTANCES: Columns = {
    "url": "url",
    "gateway": "gateway",
    "driver": "driver",
    "sure": "certainty",
    "mode": "mode",
    "sessions": "sessions",
    "adopted": "adopted",
    "known": "known",
    "not adopted": "not_adopted",
}
_HERE = ("adopted", "placed", "known")
_SESSIONS: Columns = {
    "instance": "url",
    "session": "native_id",
    "phone": "phone",
    "status": "status",
    "result": "result",
    "why": "reason",
}


def _show(adopted: Row) -> None:
    would = adopted["dry_run"]
    if adopted["instances"]:
        print_rows(_INSTANCES, adopted["instances"], none="")
    named = [each | {"url": row["url"]} for row in adopted["instances"] for each in row["found"]]
    left = [each for each in named if each["result"] not in _HERE]
    if left:
        note("These are not adopted:")
        print_rows(_SESSIONS, left[:_SHOWN_MAX], none="")
        _more(len(left))
    renamed = [each for each in named if each["result"] == "adopted" and each["session_id"] != each["native_id"]]
    for each in renamed[:_RENAMED_MAX]:
        note(f"{each['url']} calls it {each['native_id']}; its id is {each['session_id']}")
    if len(renamed) > _RENAMED_MAX:
        note(f"{len(renamed) - _RENAMED_MAX} more have the name of their instance in their ids.")
    for row in adopted["instances"]:
        for told in [*([row["warning"]] if row["warning"] else []), *row["oddities"]]:
            note(f"{row['url']}: {told}")
    for refused in adopted["refused"]:
        note(f"{refused['url']}: {refused['detail']}")
    if would:
        note("Nothing was changed (--dry-run).")
    elif any(row["mode"] == "observe" for row in adopted["instances"]):
        note("They are observed: nothing is started, stopped or sent there. How that goes: homing adopt --status")


def _more(count: int) -> None:
    if count > _SHOWN_MAX:
        note(f"{count - _SHOWN_MAX} more are not shown here; --json has them.")


def _share(row: Row) -> str:
    if row["agreement"] is None:
        return "-"
    return f"{row['agreement']:.2%} ({row['seen']} of {row['recorded']})"


def _would(row: Row) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in row["would_have"].items()) or "-"


_STATUS: Columns = {
    "url": "url",
    "driver": "driver",
    "mode": "mode",
    "since": lambda row: instant(row["since"]),
    "sessions": "sessions",
    "seen where recorded": _share,
    "lists": "lists",
    "failed": "lists_failed",
    "strays": "strays",
    "would have": _would,
    "verdict": "reason",
}
_WOULD: Columns = {
    "newest": moment("last_at"),
    "instance": "url",
    "what": "kind",
    "session": "session_id",
    "times": "times",
    "why": "reason",
}


def _status(asked: GatewayClient, urls: list[str], *, as_json: bool) -> int:
    """Of all instances, or of these."""
    pages = [asked.get("/instances/adoption", url=url) for url in urls] or [asked.get("/instances/adoption")]
    document = {
        "instances": [row for page in pages for row in page["data"]],
        "would_haves": [row for page in pages for row in page["would_haves"]],
    }
    if as_json:
        print_json(document)
        return DONE
    rows = [row for row in document["instances"] if urls or row["mode"] == "observe" or row["lists"]]
    print_rows(_STATUS, rows, none="No instance is observed, or was; bring some in with homing adopt URL….")
    if document["would_haves"]:
        note("What would have been done:")
        print_rows(_WOULD, document["would_haves"], none="")
    return DONE
