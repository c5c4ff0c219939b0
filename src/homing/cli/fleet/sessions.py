"""`homing sessions`: logins carried from one Homing to another, and out of gateways that use Baileys."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import App, Parameter

from homing.cli.sources.source import settings
from homing.cli.terminal.options import AccountRef, AsJson
from homing.cli.terminal.output import Row, note, print_facts, print_json
from homing.cli.terminal.stops import CannotStart, NeedsAttention

if TYPE_CHECKING:
    from homing.flows.importing.carrying import BroughtIn, Carrying, CarryTarget
    from homing.imports.baileys_folder import BaileysLogin
    from homing.model.sessions.carried import CarriedSession

T = TypeVar("T")

app = App(
    name="sessions",
    help="""Bring logins over without pairing: from another Homing, or from a gateway that uses Baileys.

They work on `HOMING_DATABASE_URL` itself, and need its `HOMING_VAULT_KEY`: a key of the API opens no login.""",
)

_WRONG = {"not_a_session", "newer_version", "wrong_passphrase", "not_linked", "unreadable"}
_WRONG |= {"account_not_found", "instance_not_found"}
"""What the command was given cannot be used; all else is about the state of the world."""


@app.command
def export(
    session: AccountRef,
    /,
    *,
    to: Annotated[Path, Parameter(help="The file to write. It must not be there yet.")],
    as_json: AsJson = False,
) -> None:
    """Take a session out of the vault into a sealed file, with its keys, its unsent messages and its inbox.

    From then on the file is the session: here it is logged out, and cannot go on. Bring it in where it is to live with
    `homing sessions import`. Refused while an instance has it open: `homing accounts stop` first.

    The passphrase is asked for, or read as one line from standard input. Without it nothing opens the file.

    Example: `homing sessions export 142 --to shop.session`

    Exit codes: 0 the session is in the file; 1 it stays here, and why; 2 wrong use.
    """
    from homing.imports import session_file
    from homing.world import SystemClock

    if to.exists():
        raise CannotStart(f"{to} is there already: name another file")
    if not to.absolute().parent.is_dir():
        raise CannotStart(f"There is no folder {to.absolute().parent}")
    passphrase = _passphrase(twice=True)
    if len(passphrase) < session_file.PASSPHRASE_MIN:
        raise CannotStart(f"A passphrase of fewer than {session_file.PASSPHRASE_MIN} characters protects nothing")
    part = to.with_name(f"{to.name}.part")

    async def story(carrying: "Carrying") -> "tuple[CarryTarget, CarriedSession]":
        target = await carrying.target(session)
        try:
            async with carrying.leaving(target) as carried:
                _write(part, session_file.sealed(carried, passphrase, at=SystemClock().now().isoformat()))
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        part.rename(to)
        return target, carried

    target, carried = _carry(story)
    told = {**_about(target, carried), "file": str(to)}
    _show(told, as_json=as_json)
    if not as_json:
        note(f"The session is in {to}, and no longer here. Whoever has the file and the passphrase has the login.")


@app.command(name="import")
def import_(
    source: Annotated[
        Path, Parameter(help="A file of `homing sessions export`, or the folder of a Baileys login (creds.json, …).")
    ],
    /,
    *,
    account: Annotated[
        str | None, Parameter(help="Whose login it is: number, uuid or session. [default: as the file says]")
    ] = None,
    to: Annotated[
        str | None, Parameter(help="The instance of ours where it is to live, if its account is on another gateway.")
    ] = None,
    stopped: Annotated[
        bool,
        Parameter(negative="", help="I vouch for it: whoever used the login is stopped, and stays so."),
    ] = False,
    replace: Annotated[bool, Parameter(negative="", help="Throw away a login that is in the vault already.")] = False,
    skip_broken: Annotated[
        bool, Parameter(negative="", help="Leave out keys whose files are not whole: those chats have to repair.")
    ] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="Say what would be done, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a login into the vault, with its keys: the session goes on with its chats, and nobody pairs anything.

    Whoever used the login must be stopped, for good. For an account on a gateway that Homing knows, that gateway is
    asked, twice; for a file of `homing sessions export`, the export shows it. Else say --stopped. Two programs with one
    login end each other's connections and use up each other's keys; WhatsApp may remove the device.

    Then: `homing accounts start`. A file's passphrase is asked for, or read as one line from standard input.

    Example: `homing sessions import shop.session --account 142`

    Example: `homing sessions import ./auth_info_baileys --account 142 --to http://wa1:3001 --stopped`

    Exit codes: 0 it is in the vault; 1 it was left alone, and why; 2 what was given is no login.
    """
    from homing.flows.importing.carrying import LoginImport
    from homing.model.urls import normal

    carried, origin, facts = _read(source, skip_broken=skip_broken)
    ref = account or (carried.session_id or None)
    if ref is None:
        raise CannotStart("Say whose login it is: --account 142 (a number, a uuid, or the id of its session)")
    try:
        url = normal(to) if to is not None else None
    except ValueError as error:
        raise CannotStart(f"{to} is no address of an instance: {error}") from error

    async def story(carrying: "Carrying") -> "BroughtIn":
        target = await carrying.target(ref)
        return await carrying.bring_in(carried, target, LoginImport(origin, url, stopped, replace, dry_run))

    done = _carry(story)
    told = {**_about(done.target, carried), **facts, "instance_url": done.placed_on, "proof": done.proof}
    _show({**told, "dry_run": dry_run}, as_json=as_json)
    if not as_json:
        note("Nothing was written: this was a dry run." if dry_run else _what_next(done, carried))


def _read(source: Path, *, skip_broken: bool) -> "tuple[CarriedSession, Any, Row]":
    """What is to come in, where it is from, and what is told of it."""
    from homing.decide.importing.carrying import LoginOrigin
    from homing.imports import baileys_folder, session_file
    from homing.imports.session_file import FileUnusable

    try:
        if source.is_dir():
            login = baileys_folder.read(source)
            return _of_folder(source, login, skip_broken=skip_broken), LoginOrigin.FOLDER, _facts_of(login)
        file = session_file.read(_bytes(source))
        return session_file.opened(file, _passphrase(twice=False)), LoginOrigin.EXPORT, {}
    except FileUnusable as error:
        raise _stop(error.code, str(error)) from error


def _of_folder(source: Path, login: "BaileysLogin", *, skip_broken: bool) -> "CarriedSession":
    from homing.instance.engines.baileys.packing import packed_rows
    from homing.model.sessions.carried import CarriedSession

    if login.broken and not skip_broken:
        raise NeedsAttention(
            f"{len(login.broken)} files in {source} are not whole, such as {login.broken[0]}: what they held is lost."
            " Say --skip-broken to go without them: those chats repair themselves by asking again"
        )
    return CarriedSession("", {"creds": login.creds}, packed_rows(login.keys), phone=login.phone)


def _facts_of(login: "BaileysLogin") -> Row:
    return {"keys_left_out": len(login.broken), "files_ignored": login.ignored}


def _bytes(source: Path) -> bytes:
    from homing.imports.session_file import FILE_MAX

    try:
        if source.stat().st_size > FILE_MAX:
            raise CannotStart(f"{source} is larger than {FILE_MAX} bytes: it is no file of `homing sessions export`")
        return source.read_bytes()
    except OSError as error:
        raise CannotStart(f"{source} cannot be read: {error.strerror or error}") from error


def _passphrase(*, twice: bool) -> str:
    """From the terminal, unseen; else a line of standard input. Never an argument: those are seen by everybody."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    from getpass import getpass

    given = getpass("Passphrase: ")
    if twice and getpass("Again: ") != given:
        raise CannotStart("The two passphrases differ; nothing was done")
    return given


def _write(path: Path, data: bytes) -> None:
    """Durably, and for nobody else to read."""
    try:
        with suppress(FileNotFoundError):
            path.unlink()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CannotStart(f"{path} cannot be written: {error.strerror or error}; the session stays as it is") from error


def _carry(story: "Callable[[Carrying], Any]") -> Any:
    from homing.cli.sources.database import must_be_there, told
    from homing.compose import open_carrying
    from homing.flows.importing.carrying import NotCarried
    from homing.model.instances.vault import VaultSealed

    known = settings()
    must_be_there(known)

    async def run() -> Any:
        async with open_carrying(known) as carrying:
            return await story(carrying)

    try:
        return told(run)
    except NotCarried as error:
        raise _stop(error.code, str(error)) from error
    except VaultSealed as error:
        raise CannotStart(str(error)[:1].upper() + str(error)[1:]) from error


def _stop(code: str, sentence: str) -> Exception:
    if code in _WRONG:
        return CannotStart(sentence)
    title = code.replace("_", " ").capitalize()
    return NeedsAttention(sentence, {"type": "about:blank", "title": title, "code": code, "detail": sentence})


def _about(target: "CarryTarget", carried: "CarriedSession") -> Row:
    waiting = [each for each in carried.inbox if each.body is not None]
    return {
        "session_id": target.session_id,
        "account_id": target.account.id if target.account is not None else None,
        "phone": carried.phone,
        "key_rows": len(carried.keys),
        "unsent_messages": len(carried.unfinished),
        "untold_messages": len(waiting),
    }


def _what_next(done: "BroughtIn", carried: "CarriedSession") -> str:
    if done.target.account is not None:
        return f"The login is in the vault. Now: homing accounts start {done.target.account.id}"
    phone = f"+{carried.phone}" if carried.phone else "PHONE"
    return (
        "The login is in the vault, and no account has this session yet. Now:"
        f" homing accounts create {phone} --session {done.target.session_id} --no-start, then homing accounts start"
    )


def _show(told: Row, *, as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        print_facts({name.replace("_", " "): value for name, value in told.items()})
