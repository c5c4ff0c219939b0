"""`homing accounts`: the phone identities, and the life of their sessions."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from homing.cli.directory import number_checks, pairing_links, phone_linking, signs
from homing.cli.sources.client import ApiClient, path
from homing.cli.sources.gateway import GatewayClient
from homing.cli.sources.source import gateway, source
from homing.cli.terminal import pairing
from homing.cli.terminal.options import (
    AccountRef,
    After,
    AsJson,
    DeafPolicyOption,
    ExitProxyOption,
    Force,
    Labels,
    Limit,
    Name,
    Status,
    Takeover,
    Workspace,
    deaf_policy_given,
    labels,
)
from homing.cli.terminal.output import (
    Columns,
    Row,
    attention,
    instant,
    moment,
    print_facts,
    print_json,
    print_page,
    print_rows,
)
from homing.cli.terminal.stops import CannotStart, NeedsAttention, RequestRefused
from homing.cli.terminal.waiting import Timeout, Wait, move_ended, until

_MISSING: Columns = {
    "account": "account_id",
    "session": "session_id",
    "instance": "instance_url",
    "what": "verdict",
    "why": "reason",
}

app = App(name="accounts", help="Accounts: who they are, where their sessions live, starting and stopping them.")

Session = Annotated[str | None, Parameter(help="The id of a session that an instance runs already.")]
Uuid = Annotated[str | None, Parameter(help="The uuid it is to have.")]
ChosenId = Annotated[int | None, Parameter(help="The number it is to have.")]

_COLUMNS: Columns = {
    "id": "id",
    "phone": "phone",
    "name": "name",
    "workspace": "workspace_id",
    "instance": "instance_url",
    "epoch": "epoch",
    "status": "status",
    "place": "state",
    "verified": moment("last_verified_at"),
    "attention": attention,
    "uuid": "uuid",
}


@app.default
@app.command(name="list")
def list_accounts(
    *,
    workspace: Workspace = None,
    instance: Annotated[str | None, Parameter(help="Only those placed on this address.")] = None,
    status: Annotated[Status | None, Parameter(help="Only those whose session is so.")] = None,
    after: After = 0,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List accounts, with the instance that each session lives on.

    Example: `homing accounts list --instance http://localhost:3002 --status connected`
    """
    page = source().get(
        "/accounts", workspace_id=workspace, instance_url=instance, status=status, after=after, limit=limit
    )
    if as_json:
        print_json(page)
    else:
        print_page(_COLUMNS, page, none="There are no such accounts.")


@app.command
def show(account: AccountRef, /, *, as_json: AsJson = False) -> None:
    """Show one account: where its session lives, under which epoch, how it is, and what can be done for it.

    Where a pace is set: what is left of it. What its gateway cannot do bounds what Homing does: each line says why, and
    what would help. That is asked of the instance, and left out where it cannot be.

    Example: `homing accounts show 144`
    """
    asked = source()
    found = asked.get(path("accounts", account))
    can, pace = _told(asked, account, "capabilities"), _told(asked, account, "pace")
    if as_json:
        print_json(found | ({"capabilities": can} if can else {}) | ({"pace": pace} if pace else {}))
    else:
        print_facts(_facts(found) | _left(pace) | (_can(can) if can else {}))


def _told(asked: ApiClient, account: str, what: str) -> Row | None:
    """A gateway of the release before does not tell it, and of a session that is nowhere there are no abilities."""
    try:
        return asked.get(path("accounts", account, what))
    except RequestRefused:
        return None


def _left(pace: Row | None) -> dict[str, str]:
    """What is left of each limit, in one line."""
    if pace is None or pace["policy"] is None:
        return {}
    left = [f"{pace['left'][name]} of {most} ({name.replace('_', ' ')})" for name, most in pace["of"].items()]
    wait = [f"the next one in {pace['next_in_s']:g} s"] if pace["next_in_s"] else []
    return {"pace, left": ", ".join([*left, *wait]) or "no limit on numbers"}


def _can(can: Row) -> dict[str, Any]:
    """One line for each deed of recovery."""
    told = {}
    for each in can["recovery"]:
        name, _, why = each["words"].partition(": ")
        told[name] = why
    return told


@app.command
def create(
    phone: Annotated[str, Parameter(help="Its number, as people write it: 0816108641 or +62811801641.")],
    /,
    *,
    workspace: Workspace = None,
    name: Name = "",
    takeover: Annotated[
        Takeover | None, Parameter(help="Who may start it elsewhere once its instance is lost. [default: auto]")
    ] = None,
    session: Session = None,
    instance: Annotated[
        str | None, Parameter(help="The instance that runs --session. [default: the one that lists it]")
    ] = None,
    uuid: Uuid = None,
    id: ChosenId = None,
    start: Annotated[bool, Parameter(negative="--no-start", help="Open its session at once.")] = True,
    as_json: AsJson = False,
) -> None:
    """Create an account and open its session on the least loaded healthy instance. Then link it: `homing accounts qr`.

    With `--session` it takes up a session that runs already, without pairing it anew: where it is listed, in the state
    that it is in. Which ones nobody has taken up yet: `homing instances strays`.

    Example: `homing accounts create +62811801641 --workspace 1 --name "Shop"`

    Example: `homing accounts create +62811801641 --session webjs_1_1699 --instance http://wa1:3001 --no-start`
    """
    body = {"phone": phone, "name": name, "workspace_id": workspace, "takeover": takeover, "start": start}
    body |= _given(session_id=session, instance_url=instance, uuid=uuid, id=id)
    _show(gateway("Creating an account").post("/accounts", body, slow=True), as_json=as_json)


@app.command(name="set")
def change(
    account: AccountRef,
    /,
    *,
    takeover: Annotated[
        Takeover | None, Parameter(help="Who may start it elsewhere once its instance is lost.")
    ] = None,
    require: Labels = None,
    require_nothing: Annotated[bool, Parameter(negative="", help="It may live on any instance.")] = False,
    deaf_policy: DeafPolicyOption = None,
    exit_proxy: ExitProxyOption = None,
    session: Session = None,
    instance: Annotated[str | None, Parameter(help="The instance that runs its session.")] = None,
    uuid: Uuid = None,
    id: ChosenId = None,
    as_json: AsJson = False,
) -> None:
    """Say who may take a session over, and which labels its instance must have. What is not given stays.

    `--session`, `--instance`, `--uuid` and `--id` only while the account is on no instance.

    `auto`: Homing by itself; `manual`: only when somebody says `homing accounts rehome`; `never`: nobody. The labels
    replace those it required before, and count from its next move on.

    An exit proxy is told at its session's next start, on every instance; where it cannot be, it is not started.

    Example: `homing accounts set 144 --takeover manual --require region=sg`

    Example: `homing accounts set 144 --exit-proxy http://user:password@proxy.example:8080`
    """
    changes: dict[str, Any] = {"takeover": takeover} if takeover is not None else {}
    changes |= {"requires": labels(require or [])} if require or require_nothing else {}
    changes |= deaf_policy_given(deaf_policy)
    changes |= {} if exit_proxy is None else {"exit_proxy": None if exit_proxy == "none" else exit_proxy}
    changes |= _given(session_id=session, instance_url=instance, uuid=uuid, id=id)
    if not changes:
        raise CannotStart(
            "Say what to change: --takeover, --require, --require-nothing, --deaf-policy, --exit-proxy, --session,"
            " --uuid or --id"
        )
    _show(gateway("`homing accounts set`").patch(path("accounts", account), changes), as_json=as_json)


@app.command
def start(
    account: AccountRef | None = None,
    /,
    *,
    every: Annotated[
        bool, Parameter(name="--all", negative="", help="Every session that its instance lost, by the rules below.")
    ] = False,
    instance: Annotated[str | None, Parameter(help="With --all: only what is placed on this instance.")] = None,
    as_json: AsJson = False,
) -> None:
    """Open the account's session where it is placed (takes up to 60 s); or, with --all, whatever is missing.

    With --all Homing does now what it does by itself while HOMING_START_MISSING is on, for gateways that hold no lease.
    A session is started if it was connected before and is meant to run, its instance's process began anew, that process
    was not handed it to restore (or has had its time), and every instance that could hold it just gave a list without
    it. A few at a time; each that is not started is named with its reason.

    Example: `homing accounts start 144`

    Example: `homing accounts start --all --instance http://wa2:3001`

    Exit codes: 0 done, or on its way; 1 with --all: some are blocked, or vanished from a process that runs on.
    """
    if every == (account is not None) or (instance is not None and not every):
        raise CannotStart("Name one account, or say --all (then also --instance, to do so on one instance alone)")
    if account is not None:
        _act("start", account, as_json=as_json)
        return
    said = gateway("`homing accounts start --all`").post("/accounts/start", {"instance_url": instance}, slow=True)
    if as_json:
        print_json(said)
    else:
        print_rows(_MISSING, said["sessions"], none="Nothing is missing.")
    stuck = [each for each in said["sessions"] if each["verdict"] in ("blocked", "alert")]
    if stuck:
        raise NeedsAttention(f"{len(stuck)} of {len(said['sessions'])} are not started by themselves")


@app.command
def stop(account: AccountRef, /, *, as_json: AsJson = False) -> None:
    """Close the account's session and keep its login, so that starting it again needs no pairing.

    Example: `homing accounts stop 144`
    """
    _act("stop", account, as_json=as_json)


@app.command
def restart(account: AccountRef, /, *, as_json: AsJson = False) -> None:
    """Close and open the account's session where it is. Takes up to 60 s.

    Example: `homing accounts restart 144`
    """
    _act("restart", account, as_json=as_json)


@app.command
def logout(account: AccountRef, /, *, as_json: AsJson = False) -> None:
    """End the link with WhatsApp. Afterwards only pairing anew helps.

    Example: `homing accounts logout 144`
    """
    _act("logout", account, as_json=as_json)


@app.command(name="accept-phone")
def accept_phone(account: AccountRef, /, *, as_json: AsJson = False) -> None:
    """Take the phone that an account's instance reports as the account's own, so that messages are sent again.

    Nothing is sent through a session that somebody else's phone is linked to. `homing accounts show` says which phone
    is reported. If it is the wrong one, log the session out and pair the right one instead.

    Example: `homing accounts accept-phone 144`
    """
    _act("accept-phone", account, as_json=as_json)


@app.command
def delete(
    account: AccountRef,
    /,
    *,
    force: Annotated[bool, Parameter(negative="", help="Stop its session although it is connected.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete an account. Its session is stopped first where it runs; a connected one only with `--force`.

    Refused while its instance does not answer: the session may run there.

    Example: `homing accounts delete 144`
    """
    asked = gateway("`homing accounts delete`")
    where = path("accounts", account)
    asked.delete(f"{where}?force=true" if force else where)
    if as_json:
        print_json({"deleted": account})
    else:
        print(f"Account {account} is deleted.")


@app.command
def rehome(
    account: AccountRef,
    /,
    *,
    force: Force = False,
    wait: Wait = True,
    timeout: Timeout = 60.0,
    as_json: AsJson = False,
) -> None:
    """Bring the account's session to another instance, although the one that has it may not let it go.

    For a session whose instance is lost or does not serve it; one that is well goes with `homing accounts migrate`.

    Refused with `not_fenced` while nothing proves that the old holder cannot act any more: then stop it there, or, once
    none of its processes runs, say so with `homing exited`.

    Example: `homing accounts rehome 144`

    Exit codes: 0 it can send again; 1 it cannot yet, and why.
    """
    asked = gateway("`homing accounts rehome`")
    wanted = asked.post(path("accounts", account, "rehome"), {"force": force})
    _follow(asked, wanted, wait=wait, timeout_s=timeout, as_json=as_json)


@app.command
def migrate(
    account: AccountRef,
    /,
    *,
    to: Annotated[
        str | None, Parameter(help="The instance's address or number. [default: wherever there is most room]")
    ] = None,
    force: Force = False,
    wait: Wait = True,
    timeout: Timeout = 60.0,
    as_json: AsJson = False,
) -> None:
    """Bring the account's session to another instance. Messages for it wait meanwhile, so that nobody sees an error.

    Example: `homing accounts migrate 144 --to http://wa3.internal:3001`

    Exit codes: 0 it can send there; 1 it does not move, or not yet, and why.
    """
    asked = gateway("`homing accounts migrate`")
    target = int(to) if to is not None and to.isdecimal() else to
    wanted = asked.post(path("accounts", account, "migrate"), {"to": target, "force": force})
    _follow(asked, wanted, wait=wait, timeout_s=timeout, as_json=as_json)


app.command(number_checks.check_number, name="check-number")
app.command(signs.mark_read, name="mark-read")
app.command(signs.typing, name="typing")
app.command(phone_linking.pair, name="pair")
app.command(pairing_links.pairing_link, name="pairing-link")


@app.command
def qr(
    account: AccountRef,
    /,
    *,
    renew: Annotated[
        bool, Parameter(negative="", help="Ask for a new code and wait for it: at most once in 20 s, and up to 90 s.")
    ] = False,
    save: Annotated[Path | None, Parameter(help="Write the code as a PNG picture to this file instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw the newest code that links the account's phone, and say for how many seconds it is good.

    On the phone: WhatsApp, Linked devices, Link a device. To look changes nothing; an instance follows an expired code
    by the next one while it waits. `--renew` closes the session and opens it again: whoever is scanning at that moment
    scans in vain.

    Example: `homing accounts qr 144`

    Exit codes: 0 there is a code to scan; 1 there is none (yet), it has expired, or the phone is linked already.
    """
    asked, where = gateway("Pairing"), path("accounts", account, "qr")
    code = asked.post(where, slow=True) if renew else asked.get(where)
    if as_json:
        print_json(code)
    elif not code["expired"]:
        pairing.show(code, save)
    if code["expired"]:
        raise NeedsAttention(
            f"The newest code of account {account} has expired; the instance makes the next one soon if it still waits,"
            f" or ask for it: homing accounts qr {account} --renew"
        )


def _follow(asked: GatewayClient, wanted: Row, *, wait: bool, timeout_s: float, as_json: bool) -> None:
    """Shows the account when its move is over, or what was asked for if nobody waits."""
    if not wait:
        if as_json:
            print_json(wanted)
        else:
            print_facts({"account": wanted["account_id"], "from": wanted["from_url"], "to": wanted["to_url"] or "any"})
        return
    account: Row = {}

    def over() -> str | None:
        nonlocal account
        account = asked.get(path("accounts", wanted["account_uuid"]))
        return move_ended(account, wanted["from_url"], wanted["from_epoch"])

    ended = until(over, timeout_s)
    if account:
        _show(account, as_json=as_json)
    if ended is None:
        why = (account.get("move") or {}).get("reason") or "its turn has not come"
        raise NeedsAttention(f"Account {wanted['account_id']} is still on its way after {timeout_s:g} s: {why}")
    if ended:
        raise NeedsAttention(f"Account {wanted['account_id']} did not move: {ended}")


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _act(verb: str, account: str, *, as_json: bool) -> None:
    made = gateway(f"`homing accounts {verb}`").post(path("accounts", account, verb), slow=True)
    _show(made, as_json=as_json)


def _show(account: Row, *, as_json: bool) -> None:
    if as_json:
        print_json(account)
    else:
        print_facts(_facts(account))


def _facts(account: Row) -> dict[str, Any]:
    return {
        "id": account["id"],
        "uuid": account["uuid"],
        "phone": account["phone"],
        **({"phone reported": account["reported_phone"]} if account.get("reported_phone") else {}),
        "name": account["name"],
        "workspace": account["workspace_id"],
        "session": account["session_id"],
        **({"called there": account["native_id"]} if account.get("native_id") else {}),
        "instance_url": account["instance_url"],
        "epoch": account["epoch"],
        "placement": account["state"],
        "status": account["status"],
        **_advice(account),
        **{f"alert {alert['kind']}": f"{alert['reason']}; {alert['do']}" for alert in account.get("attention") or ()},
        "last verified": instant(account["last_verified_at"]),
        "takeover": account["takeover"],
        **({"if deaf": account["deaf_policy"]} if account.get("deaf_policy") else {}),
        **({"goes out by": account["exit_proxy"]} if account.get("exit_proxy") else {}),
        "requires": [f"{name}={value}" for name, value in account["requires"].items()],
        "created": instant(account["created_at"]),
    }


def _advice(account: Row) -> dict[str, Any]:
    """What to do, and the move that is open or was given up, where there is something to say."""
    told = {"what to do": account["reason"]} if account.get("reason") else {}
    move = account.get("move")
    if move is not None:
        told["move"] = f"{move['state']}: {move['reason'] or move['wanted_because']}"
    return told
