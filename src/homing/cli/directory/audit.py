"""`homing audit`: who changed what, and whether the log of it is what was written."""

import json
from typing import Annotated, Any

from cyclopts import Parameter

from homing.cli.sources.source import source
from homing.cli.terminal.options import After, AsJson, Limit
from homing.cli.terminal.output import Columns, Row, moment, note, print_facts, print_json, print_page
from homing.cli.terminal.stops import NeedsAttention


def audit(
    *,
    verify: Annotated[
        bool, Parameter(negative="", show_default=False, help="Check that nothing in it was changed or removed.")
    ] = False,
    action: Annotated[str | None, Parameter(help="Only such changes: account.deleted, key.created, …")] = None,
    subject: Annotated[str | None, Parameter(help="Only changes of this: 'account 144', 'key 1f2e3d4c5b6a'.")] = None,
    key: Annotated[str | None, Parameter(help="Only changes by this key, by its id.")] = None,
    after: After = 0,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, by which key or as which user, from where; newest first. Needs an operator's key.

    Every change of the fleet, of accounts, contacts, keys and workspaces is there, with what was before and is after;
    phones and secrets are masked. A change of many things at once is one entry with their number.

    Example: `homing audit --subject 'account 144'`

    Exit codes: 0 done; 1 with `--verify`: an entry was changed or removed, the first such is named.
    """
    if verify:
        _verify(as_json=as_json)
        return
    page = source().get("/audit", action=action, subject=subject, key_id=key, after=after, limit=limit)
    if as_json:
        print_json(page)
    else:
        print_page(_COLUMNS, page, none="Nothing was changed by anybody yet.")


def _verify(*, as_json: bool) -> None:
    verdict = source().get("/audit/verify", slow=True)
    if as_json:
        print_json(verdict)
    else:
        _show(verdict)
    if (broken := verdict["broken"]) is not None:
        raise NeedsAttention(f"The audit log is not what was written: entry {broken['id']}: {broken['reason']}")


def _show(verdict: dict[str, Any]) -> None:
    head = verdict["head"]
    print_facts(
        {
            "what was written": verdict["holds"],
            "entries": verdict["entries"],
            "not chained yet": verdict["waiting"],
            "removed by retention": verdict["removed"],
            "head": f"{head['id']} {head['chain']}" if head is not None else None,
        }
    )
    if verdict["unkeyed"]:
        note(f"{verdict['unkeyed']} of them are chained without HOMING_SECRET: whoever knows how could have made them.")


def _whose(row: Row) -> str:
    return f"{row['actor']} ({row['key_id']})" if row["key_id"] is not None else str(row["actor"])


def _changed(row: Row) -> str:
    """Each field that changed, as it was and is."""
    before, after = row["before"] or {}, row["after"] or {}
    fields = dict.fromkeys([*before, *after])
    return ", ".join(f"{name}: {_was_and_is(name, before, after)}" for name in fields)


def _was_and_is(name: str, before: Row, after: Row) -> str:
    if name not in before or name not in after:
        return _short(after.get(name, before.get(name)))
    return f"{_short(before[name])} → {_short(after[name])}"


def _short(value: Any) -> str:
    return "-" if value in (None, "", {}, []) else value if isinstance(value, str) else json.dumps(value)


_COLUMNS: Columns = {
    "id": "id",
    "at": moment("at"),
    "who": _whose,
    "from": lambda row: row["origin"] or "-",
    "by": "request",
    "action": "action",
    "subject": "subject",
    "changed": _changed,
}
