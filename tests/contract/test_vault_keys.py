"""Credentials at rest: opened by their own key, in their own place, and by nothing else."""

import re
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, func, select, update
from vaults import KEY, LOGIN, TWO, opened, reserved, saved, vault_of

from homing.model.instances.vault import Grant, VaultSealed
from homing.store.db.database import Database
from homing.store.db.schema.tables import credentials, reservations
from homing.store.vault.sealing import KeyRing, VaultKey, fresh_key
from homing.store.vault.vault import SqlVault

NEW = fresh_key("second")


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[SqlVault]:
    opened = await vault_of(database)
    yield opened
    await opened.close()


async def test_nothing_of_a_login_or_a_message_can_be_read_in_the_database(vault: SqlVault, database: Database) -> None:
    grant = await saved(vault, await opened(vault))
    await reserved(vault, grant, "m1")
    stored = await database.read(
        lambda c: [*c.execute(select(credentials.c.login)), *c.execute(select(reservations.c.frame))]
    )
    assert len(stored) == 2
    for (sealed,) in stored:
        assert not any(word in sealed for word in (b"secret", b"noise", b"frame"))
    assert (await opened(vault)).unfinished[0].frame == b"frame of m1"


async def test_two_texts_alike_are_not_alike_when_sealed(vault: SqlVault, database: Database) -> None:
    for session in "ab":
        await saved(vault, await opened(vault, session))
    assert await database.read(lambda c: c.scalar(select(func.count(credentials.c.login.distinct())))) == 2


# --- a row that was tampered with ---------------------------------------------------------------------------------


async def is_refused(vault: SqlVault, session: str = "s") -> str:
    """The sentence with which the vault refuses to open the session, which then nobody has taken."""
    epoch = await vault.epoch(session)
    with pytest.raises(VaultSealed) as refused:
        await vault.open(session, epoch=None, holder=TWO)
    assert await vault.epoch(session) == epoch
    return str(refused.value)


async def sealed_login(database: Database, session: str) -> bytes:
    found = select(credentials.c.login).where(credentials.c.session_id == session)
    return await database.read(lambda c: c.execute(found).scalar_one())


async def put_login(database: Database, session: str, **values: object) -> None:
    await database.write(
        lambda c: c.execute(update(credentials).where(credentials.c.session_id == session).values(**values))
    )


async def test_an_older_login_put_in_the_place_of_the_last_is_refused(vault: SqlVault, database: Database) -> None:
    grant = await saved(vault, await opened(vault))
    older = await sealed_login(database, "s")
    await saved(vault, grant, {"newer": True})
    await put_login(database, "s", login=older)
    assert await is_refused(vault) == (
        "the login, version 2, of session s does not open under the vault key 'first':"
        " it is not what was last written there"
    )


async def test_another_sessions_login_is_refused(vault: SqlVault, database: Database) -> None:
    for session in "st":
        await saved(vault, await opened(vault, session))
    await put_login(database, "s", login=await sealed_login(database, "t"))
    assert "of session s does not open" in await is_refused(vault)
    assert (await opened(vault, "t")).login == LOGIN


async def test_a_changed_byte_is_refused(vault: SqlVault, database: Database) -> None:
    await saved(vault, await opened(vault))
    sealed = bytearray(await sealed_login(database, "s"))
    for place in (0, len(sealed) // 2, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[place] ^= 1
        await put_login(database, "s", login=bytes(changed))
        await is_refused(vault)
    await put_login(database, "s", login=b"short")
    await is_refused(vault)


async def test_another_messages_frame_is_refused_and_harms_no_other_session(
    vault: SqlVault, database: Database
) -> None:
    await reserved(vault, await opened(vault), "m1", "m2")
    await saved(vault, await opened(vault, "other"))
    frames = select(reservations.c.frame).where(reservations.c.counter == 1)
    first = await database.read(lambda c: c.execute(frames).scalar_one())
    await database.write(
        lambda c: c.execute(update(reservations).where(reservations.c.counter == 2).values(frame=first))
    )
    assert "the message m2, of session s does not open" in await is_refused(vault)
    answers = await vault.open_many({"s": None, "other": None}, holder=TWO)
    assert isinstance(answers["s"], VaultSealed)
    assert isinstance(answers["other"], Grant)


# --- keys ---------------------------------------------------------------------------------------------------------


async def test_another_key_of_a_known_name_is_refused_at_the_start(vault: SqlVault, database: Database) -> None:
    with pytest.raises(VaultSealed, match="the vault key 'first' is not the one of this name"):
        await vault_of(database, fresh_key("first"))
    with pytest.raises(VaultSealed, match="'first'"):
        await vault_of(database, NEW, fresh_key("first"))


async def test_a_missing_key_is_named_at_the_start(vault: SqlVault, database: Database) -> None:
    other = await vault_of(database, NEW)
    grant = await saved(vault, await opened(vault))
    sentence = "the vault key 'first' is not at hand, and 1 sealed rows of this database need it"
    with pytest.raises(VaultSealed, match=sentence):
        await vault_of(database, NEW)
    assert "of session s is sealed under the vault key 'first', which is not at hand" in await is_refused(other)
    await vault.forget(grant)
    await other.close()
    await (await vault_of(database, NEW)).close()


async def test_an_old_key_opens_and_the_newest_seals(vault: SqlVault, database: Database) -> None:
    grant = await saved(vault, await opened(vault))
    both = await vault_of(database, NEW, KEY)
    grant = await opened(both)
    assert grant.login == LOGIN
    await saved(both, grant)
    await reserved(both, grant, "m")
    assert await keys_in_use(database) == {"second"}
    await both.close()


async def keys_in_use(database: Database) -> set[str]:
    def read(connection: Connection) -> set[str]:
        logins = connection.scalars(select(credentials.c.login_key).where(credentials.c.login_key.is_not(None)))
        frames = connection.scalars(select(reservations.c.frame_key).where(reservations.c.frame_key.is_not(None)))
        return {*logins, *frames}

    return await database.read(read)


async def test_a_rotation_seals_all_anew_in_steps_and_nothing_else_changes(vault: SqlVault, database: Database) -> None:
    for number in range(5):
        grant = await saved(vault, await opened(vault, f"s{number}"))
        await reserved(vault, grant, "m1", "m2")
        await vault.acknowledge(grant, [1])
    await vault.close()
    both = await vault_of(database, NEW, KEY)
    assert await both.left_to_rotate() == 10
    done = []
    while (step := await both.rotate(3)).resealed:
        done.append(step.resealed)
    assert done == [3, 3, 3, 1]
    assert await both.left_to_rotate() == 0
    assert await keys_in_use(database) == {"second"}
    await both.close()
    alone = await vault_of(database, NEW)
    after = await opened(alone, "s3", holder=TWO)
    assert (after.epoch, after.login, after.login_version) == (2, LOGIN, 1)
    assert [each.message_id for each in after.unfinished] == ["m2"]
    await alone.close()


async def test_holders_go_on_during_a_rotation(vault: SqlVault, database: Database) -> None:
    grant = await saved(vault, await opened(vault))
    both = await vault_of(database, NEW, KEY)
    assert (await both.rotate(10)).resealed == 1
    await saved(vault, grant, {"by": "an instance that has the old key first"})
    assert await reserved(vault, grant, "m") == [1]
    assert (await both.rotate(10)).resealed == 2
    assert (await opened(both)).unfinished[0].message_id == "m"
    await both.close()


async def test_a_rotation_goes_past_what_does_not_open_and_says_which(vault: SqlVault, database: Database) -> None:
    for session in "abc":
        await saved(vault, await opened(vault, session))
    await put_login(database, "a", login=await sealed_login(database, "b"))
    both = await vault_of(database, NEW, KEY)
    step = await both.rotate(1)
    assert step.resealed == 0
    assert re.search("of session a does not open", step.unreadable["a"])
    assert (await both.rotate(10, skip=step.unreadable)).resealed == 2
    assert (await both.rotate(10, skip=step.unreadable)).resealed == 0
    await both.close()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "does not begin with the name of a key"),
        ("no colon", "does not begin with the name of a key"),
        ("a name:QUJD", "does not begin with the name of a key"),
        ("k:not base64!", "what follows 'k' is no base64"),
        ("k:QUJD", "the key 'k' has 3 bytes"),
    ],
)
def test_a_key_that_cannot_be_read_is_refused_in_one_sentence(line: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        VaultKey.read(line)
    assert "QUJD" not in str(refused.value)


def test_keys_are_read_as_they_are_printed() -> None:
    ring = KeyRing.read(str(NEW), f" {KEY}, ,{fresh_key()}")
    assert ring.newest_id == "second"
    assert {"first", "second"} < set(ring.ids)
    assert VaultKey.read(str(KEY)) == KEY
    assert str(KEY).split(":")[1] not in repr(KEY)
    with pytest.raises(ValueError, match="two different keys are both called 'first'"):
        KeyRing.read(str(KEY), str(fresh_key("first")))
