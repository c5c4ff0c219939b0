"""`homing sessions`: a login leaves one vault and comes into another, whole, and what is none is left alone."""

import asyncio
import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from homing.imports import baileys_folder, session_file
from homing.imports.session_file import FileUnusable
from homing.instance.engines.baileys.packing import PackedKeys
from homing.model.fleet import (
    AccountUuid,
    Epoch,
    InstanceUrl,
    MoveKind,
    Rebinding,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.instances.vault import Committed, Grant, Holder, InboxMessage, RatchetStep, SessionKey, Unsent
from homing.model.sessions.carried import CarriedSession
from homing.ports import NewAccount
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.grants.leases import SqlLeases
from homing.store.notices.notices import LocalNotices
from homing.store.vault.sealing import KeyRing, fresh_key
from homing.store.vault.vault import SqlVault
from homing.world import SystemClock
from tests.cli.conftest import CommandLine, Ran

BOOT = Holder("http://localhost:3001", "boot")
LOGIN = {"creds": '{"me":{"id":"628111:1@s.whatsapp.net"}}'}
PASSPHRASE = "correct horse battery"
KEY = fresh_key("k")


class Installation:
    """A database with its vault, and what commands are told of it."""

    def __init__(self, homing: CommandLine, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url, self._homing, self._monkeypatch = url, homing, monkeypatch

    def __call__(self, *words: str, said: str = PASSPHRASE) -> Ran:
        self._homing.setting("HOMING_DATABASE_URL", self.url)
        self._homing.setting("HOMING_VAULT_KEY", str(KEY))
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(f"{said}\n"))
        return self._homing("sessions", *words)

    def ask(self, story: Any) -> Any:
        async def run() -> Any:
            database = open_database(self.url)
            vault = await SqlVault.of(database, KeyRing(KEY))
            try:
                return await story(vault, SqlDirectory(database, LocalNotices(), SystemClock()), SqlLeases(database))
            finally:
                await vault.close()
                await database.close()

        return asyncio.run(run())

    def opened(self, session: str = "s") -> Grant:
        grant = self.ask(lambda vault, *_: vault.open(session, epoch=None, holder=BOOT))
        assert isinstance(grant, Grant)
        return grant

    def status(self, account: int) -> SessionStatus:
        return self.ask(lambda _, directory, __: directory.account(None, id=account)).status


async def at_work(vault: SqlVault, directory: SqlDirectory, leases: SqlLeases) -> None:
    """Account 142, whose session has a login, keys, a message under way and one that came in."""
    await directory.create_account(account(142, "s", "628111"))
    grant = await vault.open("s", epoch=None, holder=BOOT)
    assert isinstance(grant, Grant)
    saved = await vault.save(grant, LOGIN)
    assert isinstance(saved, Grant)
    ratchet = SessionKey("session", "62899.0", b'"ratchet"')
    came = InboxMessage("3AFF", "digest", b'{"text":"hello"}')
    assert isinstance(await vault.commit(saved, RatchetStep([ratchet], [came], [Unsent("3EB0", b"bytes")])), Committed)
    await vault.release([saved])


def account(id: int, session: str, phone: str) -> NewAccount:
    uuid = AccountUuid(f"0190f2b4-0000-7000-8000-000000000{id}")
    return NewAccount(uuid, WorkspaceId(1), SessionId(session), phone, "Shop", Takeover.AUTO, id=id, person=phone)


@pytest.fixture
def here(homing: CommandLine, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Installation:
    return Installation(homing, sqlite_url, monkeypatch)


@pytest.fixture
def there(here: Installation, tmp_path: Path, _migrated_file: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    path = tmp_path / "there.db"
    path.write_bytes(_migrated_file.read_bytes())
    return Installation(here._homing, f"sqlite:///{path}", monkeypatch)


# --- between two installations ------------------------------------------------------------------------------------


def test_a_session_goes_on_elsewhere_and_here_no_more(here: Installation, there: Installation, tmp_path: Path) -> None:
    here.ask(at_work)
    left = here("export", "142", "--to", str(tmp_path / "shop.session"), "--json")
    assert (left.code, left.document["session_id"], left.document["untold_messages"]) == (0, "s", 1)
    assert here.status(142) is SessionStatus.LOGGED_OUT
    assert here.opened().login is None
    assert oct((tmp_path / "shop.session").stat().st_mode)[-3:] == "600"
    assert LOGIN["creds"].encode() not in (tmp_path / "shop.session").read_bytes()

    there.ask(lambda _, directory, __: directory.create_account(account(7, "t", "628111")))
    came = there("import", str(tmp_path / "shop.session"), "--account", "7", "--json")
    assert (came.code, came.document["session_id"], came.document["unsent_messages"]) == (0, "t", 1)
    assert there.status(7) is SessionStatus.STOPPED
    grant = there.opened("t")
    assert (grant.login, [each.message_id for each in grant.unfinished]) == (LOGIN, ["3EB0"])
    assert [each.body for each in grant.untold] == [b'{"text":"hello"}']
    assert there.ask(lambda vault, *_: vault.keys("t", "session", ["62899.0"])) == {"62899.0": b'"ratchet"'}


def test_a_rehearsal_writes_nothing(here: Installation, there: Installation, tmp_path: Path) -> None:
    here.ask(at_work)
    here("export", "s", "--to", str(tmp_path / "f"))
    ran = there("import", str(tmp_path / "f"), "--dry-run", "--json")
    assert (ran.code, ran.document["dry_run"], ran.document["session_id"]) == (0, True, "s")
    assert there.opened("s").login is None


def test_without_an_account_it_says_how_to_make_one(here: Installation, there: Installation, tmp_path: Path) -> None:
    here.ask(at_work)
    here("export", "142", "--to", str(tmp_path / "f"))
    ran = there("import", str(tmp_path / "f"))
    assert ran.code == 0
    assert "homing accounts create +628111 --session s --no-start" in ran.err


def test_a_session_that_is_open_is_not_exported(here: Installation, tmp_path: Path) -> None:
    here.ask(at_work)

    async def held(vault: SqlVault, _: SqlDirectory, leases: SqlLeases) -> None:
        await leases.begin(BOOT, expiry_s=60)
        await vault.open("s", epoch=None, holder=BOOT)

    here.ask(held)
    ran = here("export", "142", "--to", str(tmp_path / "f"), "--json")
    assert (ran.code, ran.document["code"]) == (1, "session_in_use")
    assert "homing accounts stop" in ran.err
    assert list(tmp_path.glob("f*")) == []


def test_a_file_that_cannot_be_written_costs_nothing(
    here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.ask(at_work)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    ran = here("export", "142", "--to", str(tmp_path / "f"))
    monkeypatch.undo()
    assert ran.code == 2 and "No space left" in ran.err
    assert list(tmp_path.glob("f*")) == []
    assert here.opened().login == LOGIN


@pytest.mark.parametrize(
    ("words", "said", "sentence"),
    [
        (["export", "142", "--to", "no/such/folder/f"], PASSPHRASE, "There is no folder"),
        (["export", "142", "--to", "homing.db"], PASSPHRASE, "is there already"),
        (["export", "142", "--to", "f"], "short", "fewer than 8 characters"),
    ],
)
def test_wrong_use_is_one_sentence(here: Installation, words: list[str], said: str, sentence: str) -> None:
    here.ask(at_work)
    ran = here(*words, said=said)
    assert ran.code == 2 and sentence in ran.err
    assert here.opened().login == LOGIN


def test_what_is_nobodys_session_cannot_be_exported(here: Installation) -> None:
    ran = here("export", "never-heard-of", "--to", "f", "--json")
    assert (ran.code, ran.document["code"]) == (1, "no_login")


@pytest.mark.parametrize("ref", ["4711", "0190f2b4-0000-7000-8000-000000004711"])
def test_an_account_that_there_is_not_is_no_session(here: Installation, folder: Path, ref: str) -> None:
    for words in (["export", ref, "--to", "f"], ["import", str(folder), "--account", ref, "--stopped"]):
        ran = here(*words)
        assert (ran.code, f"There is no account {ref}" in ran.err) == (2, True)


# --- the file -----------------------------------------------------------------------------------------------------

CARRIED = CarriedSession(
    "s",
    LOGIN,
    [SessionKey("session", "62899.0", b"\x00ratchet")],
    phone="628111",
    next_counter=9,
    unfinished=[],
    inbox=[InboxMessage("3A", "d", b""), InboxMessage("3B", "e", None)],
)


@pytest.fixture(scope="module")
def written() -> bytes:
    return session_file.sealed(CARRIED, PASSPHRASE, at="2026-01-01T00:00:00+00:00")


def test_a_file_opens_to_what_was_sealed(written: bytes) -> None:
    assert session_file.opened(session_file.read(written), PASSPHRASE) == CARRIED


def damaged(data: bytes, how: str) -> bytes:
    head, text = data[: data.index(b"\n", 15) + 1], data[data.index(b"\n", 15) + 1 :]
    match how:
        case "cut":
            return data[:-10]
        case "turned":
            return head + text[:-1] + bytes([text[-1] ^ 1])
        case "newer":
            return head.replace(b'"version": 1', b'"version": 2') + text
        case "costly":
            return head.replace(b'"n": 131072', b'"n": 268435456') + text
        case "greedy":
            return head.replace(b'"r": 8', b'"r": 32') + text
        case "cheaper":
            return head.replace(b'"n": 131072', b'"n": 1024') + text
        case "unsealed":
            return head.replace(b"scrypt", b"nothing") + text
        case "headless":
            return b"homing session\n" + text
        case "bottomless":
            return b"homing session\n" + b"[" * 4_000 + b"\n" + text
        case "endless":
            return head.replace(b'"n": 131072', b'"n": Infinity') + text
        case "something else":
            return b"\x1f\x8b" + data
        case _:
            return b""


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("cut", "file_damaged"),
        ("turned", "file_damaged"),
        ("newer", "newer_version"),
        ("costly", "file_damaged"),
        ("greedy", "file_damaged"),
        ("cheaper", "wrong_passphrase"),
        ("unsealed", "file_damaged"),
        ("headless", "file_damaged"),
        ("bottomless", "file_damaged"),
        ("endless", "file_damaged"),
        ("something else", "not_a_session"),
        ("empty", "not_a_session"),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused(written: bytes, how: str, code: str) -> None:
    with pytest.raises(FileUnusable) as refused:
        session_file.opened(session_file.read(damaged(written, how)), PASSPHRASE)
    assert refused.value.code == code


def test_a_wrong_passphrase_is_told_and_not_shown(here: Installation, written: bytes, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(written)
    ran = here("import", str(tmp_path / "f"), said="hunter2 hunter2")
    assert ran.code == 2
    assert "The passphrase is not the one that the file was written with" in ran.err
    assert "hunter2" not in ran.err + ran.out


# --- a folder of Baileys ------------------------------------------------------------------------------------------


def buffer(data: bytes) -> dict[str, Any]:
    return {"type": "Buffer", "data": base64.b64encode(data).decode()}


def pair(number: int) -> dict[str, Any]:
    return {"private": buffer(bytes([number]) * 32), "public": buffer(bytes([number + 1]) * 32)}


CREDS = {
    "noiseKey": pair(1),
    "signedIdentityKey": pair(3),
    "signedPreKey": {"keyPair": pair(5), "signature": buffer(b"s" * 64), "keyId": 1},
    "registrationId": 77,
    "advSecretKey": "c2VjcmV0",
    "me": {"id": "628111:4@s.whatsapp.net", "lid": "100111:4@lid", "name": "Shop"},
    "account": {"details": buffer(b"d"), "accountSignature": {"type": "Buffer", "data": [1, 2, 255]}},
}
FILES = {
    "pre-key-1.json": pair(7),
    "pre-key-70.json": pair(9),
    "session-62899.0.json": {"_sessions": {}, "version": "v1"},
    "session-100899_1.0.json": {"_sessions": {}},
    "sender-key-62811-1600@g.us--62899--0.json": buffer(b"[]"),
    "sender-key-memory-62811-1600@g.us.json": {"62899:0@s.whatsapp.net": True},
    "app-state-sync-key-AAAA__w+=.json": {"keyData": "AAAA"},
    "app-state-sync-version-critical_block.json": {"version": 1},
    "lid-mapping-100899_reverse.json": "62899",
    "device-list-62899.json": ["0", "4"],
    "tctoken-__index.json": {"token": buffer(b"")},
    "identity-key-62899.0.json": buffer(b"i"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "auth"
    made.mkdir()
    for name, value in {"creds.json": CREDS, **FILES}.items():
        (made / name).write_text(json.dumps(value))
    (made / "store.json").write_text("{}")
    return made


def test_every_file_of_a_folder_is_the_key_that_it_was_written_for(folder: Path) -> None:
    login = baileys_folder.read(folder)
    assert (login.phone, login.broken, login.ignored) == ("628111", [], 1)
    assert {(kind, name) for kind, name, _ in login.keys} == {
        ("pre-key", "1"),
        ("pre-key", "70"),
        ("session", "62899.0"),
        ("session", "100899_1.0"),
        ("sender-key", "62811-1600@g.us::62899::0"),
        ("sender-key-memory", "62811-1600@g.us"),
        ("app-state-sync-key", "AAAA/w+="),
        ("app-state-sync-version", "critical_block"),
        ("lid-mapping", "100899_reverse"),
        ("device-list", "62899"),
        ("tctoken", "__index"),
        ("identity-key", "62899.0"),
    }
    creds = json.loads(login.creds)
    assert creds["noiseKey"] == CREDS["noiseKey"]
    assert creds["account"]["accountSignature"] == buffer(bytes([1, 2, 255])), "numbers of an older Baileys are bytes"


def test_a_folder_comes_into_the_vault_as_the_engine_keeps_it(here: Installation, folder: Path) -> None:
    here.ask(lambda _, directory, __: directory.create_account(account(142, "s", "628111")))
    ran = here("import", str(folder), "--account", "142", "--stopped", "--json")
    assert (ran.code, ran.document["phone"], ran.document["files_ignored"]) == (0, "628111", 1)
    assert "vouched" in ran.document["proof"]
    grant = here.opened()
    assert grant.login is not None and json.loads(grant.login["creds"])["me"]["id"] == "628111:4@s.whatsapp.net"

    async def of(vault: SqlVault, *_: Any) -> Any:
        class State:
            async def get(self, kind: str, ids: Any) -> dict[str, bytes]:
                return await vault.keys("s", kind, ids)

        keys = PackedKeys(State())  # type: ignore[arg-type]
        return await keys.get("pre-key", ["1", "70", "71"]), await keys.get("session", ["62899.0"])

    prekeys, sessions = here.ask(of)
    assert {name: json.loads(value) for name, value in prekeys.items()} == {"1": pair(7), "70": pair(9)}
    assert json.loads(sessions["62899.0"]) == FILES["session-62899.0.json"]


def test_a_folder_whose_program_may_run_is_left_alone(here: Installation, folder: Path) -> None:
    ran = here("import", str(folder), "--account", "s", "--json")
    assert (ran.code, ran.document["code"]) == (1, "not_proven_stopped")
    assert here.opened().login is None


def test_a_login_that_is_there_is_not_thrown_away_by_accident(here: Installation, folder: Path) -> None:
    here.ask(at_work)
    ran = here("import", str(folder), "--account", "142", "--stopped", "--json")
    assert (ran.code, ran.document["code"]) == (1, "login_exists")
    assert here.opened().login == LOGIN
    here.ask(lambda vault, *_: _released(vault))
    assert here("import", str(folder), "--account", "142", "--stopped", "--replace").code == 0


async def _released(vault: SqlVault) -> None:
    grant = await vault.open("s", epoch=None, holder=BOOT)
    assert isinstance(grant, Grant)
    await vault.release([grant])


def test_somebody_elses_login_is_not_taken_for_the_accounts(here: Installation, folder: Path) -> None:
    here.ask(lambda _, directory, __: directory.create_account(account(142, "s", "628222")))
    ran = here("import", str(folder), "--account", "142", "--stopped", "--json")
    assert (ran.code, ran.document["code"]) == (1, "phone_mismatch")


def broken(folder: Path, how: str) -> Path:
    match how:
        case "no creds":
            (folder / "creds.json").unlink()
        case "half written creds":
            (folder / "creds.json").write_text(json.dumps(CREDS)[:-40])
        case "not linked":
            (folder / "creds.json").write_text(json.dumps({**CREDS, "me": None, "account": None}))
        case "no keys in it":
            (folder / "creds.json").write_text(json.dumps({**CREDS, "noiseKey": None}))
        case "no device":
            (folder / "creds.json").write_text(json.dumps({**CREDS, "me": {"id": "somebody"}}))
        case "half written key":
            (folder / "session-62899.0.json").write_text('{"_sess')
        case "no folder":
            return folder / "there-is-none"
    return folder


@pytest.mark.parametrize(
    ("how", "code", "sentence"),
    [
        ("no creds", 2, "it has no creds.json"),
        ("half written creds", 1, "creds.json is not whole"),
        ("not linked", 2, "No phone was linked to the login"),
        ("no keys in it", 1, "lacks noiseKey"),
        ("no device", 1, "does not say whose device it is"),
        ("half written key", 1, "1 files in"),
        ("no folder", 2, "cannot be read: No such file"),
    ],
)
def test_a_folder_that_is_none_or_not_whole_is_one_sentence(
    here: Installation, folder: Path, how: str, code: int, sentence: str
) -> None:
    ran = here("import", str(broken(folder, how)), "--account", "s", "--stopped")
    assert (ran.code, sentence in ran.err, ran.err.count("\n")) == (code, True, 1), ran.err
    assert here.opened().login is None


@pytest.mark.parametrize("deep", [900, 5_000])
def test_a_key_that_is_nested_without_an_end_is_none(folder: Path, deep: int) -> None:
    (folder / "session-628.json").write_text("[" * deep + "]" * deep)
    assert "session-628.json" in baileys_folder.read(folder).broken
    (folder / "creds.json").write_text("[" * deep + "]" * deep)
    with pytest.raises(FileUnusable) as refused:
        baileys_folder.read(folder)
    assert refused.value.code == "file_damaged"


def test_a_key_that_is_not_whole_can_be_done_without(here: Installation, folder: Path) -> None:
    ran = here("import", str(broken(folder, "half written key")), "--account=s", "--stopped", "--skip-broken", "--json")
    assert (ran.code, ran.document["keys_left_out"]) == (0, 1)


def test_a_folder_that_changes_while_it_is_read_is_in_use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = baileys_folder._value

    def value(path: Path) -> Any:
        (folder / "session-62899.0.json").write_text('{"_sessions": {"one": "more"}}')
        return read(path)

    monkeypatch.setattr(baileys_folder, "_value", value)
    with pytest.raises(FileUnusable) as refused:
        baileys_folder.read(folder)
    assert refused.value.code == "folder_changes"


def test_an_account_on_another_gateway_needs_a_place_of_ours(here: Installation, folder: Path) -> None:
    async def placed(_: SqlVault, directory: SqlDirectory, __: SqlLeases) -> None:
        made = await directory.create_account(account(142, "s", "628111"))
        evo = InstanceUrl("http://127.0.0.1:9")
        await directory.create_instance(evo, driver="evolution")
        change = Rebinding(made.placement, evo, Epoch(1), MoveKind.PLACEMENT, "adopted")
        assert await directory.rebind([change])

    here.ask(placed)
    ran = here("import", str(folder), "--account", "142", "--json")
    assert (ran.code, ran.document["code"]) == (1, "not_proven_stopped")
    assert "http://127.0.0.1:9 could not be asked" in ran.document["detail"]
    ran = here("import", str(folder), "--account", "142", "--stopped", "--json")
    assert (ran.code, ran.document["code"]) == (1, "instance_unfit")
    ran = here("import", str(folder), "--account", "142", "--stopped", "--to", "http://elsewhere:3001", "--json")
    assert ran.code == 2 and "There is no instance http://elsewhere:3001" in ran.err
