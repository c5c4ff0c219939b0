"""What gateways said of numbers, on both databases."""

from sqlalchemy import func, select, update

from homing.model.fleet import SessionId
from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.calls import NumberChecked
from homing.store.db.database import Database
from homing.store.db.schema.numbers import number_checks
from homing.store.records.number_checks import SqlNumberChecks

S, T = SessionId("s"), SessionId("t")
WRITTEN, OTHER = "5511987654321", "551187654321"
DAY_S = 86_400.0
THERE = NumberChecked(True, Address(AddressKind.PHONE, OTHER))
HIDDEN = NumberChecked(True, Address(AddressKind.LID, "1234567890123"))
NOBODY, SOMEBODY = NumberChecked(False), NumberChecked(True)


async def test_an_answer_is_the_sessions_own_until_it_expires(database: Database) -> None:
    reads: list[None] = []
    checks = SqlNumberChecks(database, on_read=lambda: reads.append(None))
    await checks.remember(S, WRITTEN, THERE, good_for_s=DAY_S)
    await checks.remember(S, OTHER, NOBODY, good_for_s=DAY_S)
    await checks.remember(T, WRITTEN, HIDDEN, good_for_s=0.0)
    assert await checks.of(S, [WRITTEN, OTHER, "1"]) == {WRITTEN: THERE, OTHER: NOBODY}
    assert await checks.of(T, [WRITTEN]) == {}
    assert len(reads) == 2


async def test_an_answer_that_has_expired_says_nothing_while_it_is_still_there(database: Database) -> None:
    checks = SqlNumberChecks(database)
    await checks.remember(S, WRITTEN, THERE, good_for_s=DAY_S)
    await checks.remember(S, OTHER, NOBODY, good_for_s=DAY_S)
    aged = update(number_checks).where(number_checks.c.digits == WRITTEN).values(expires_at=database.instant(-1.0))
    await database.write(lambda c: c.execute(aged))
    assert await checks.of(S, [WRITTEN, OTHER]) == {OTHER: NOBODY}


async def test_the_newest_answer_counts(database: Database) -> None:
    checks = SqlNumberChecks(database)
    for answer in (THERE, HIDDEN, SOMEBODY):
        await checks.remember(S, WRITTEN, answer, good_for_s=DAY_S)
        assert await checks.of(S, [WRITTEN]) == {WRITTEN: answer}


async def test_what_has_expired_goes_as_others_come(database: Database) -> None:
    checks = SqlNumberChecks(database)
    for number in range(30):
        await checks.remember(S, f"55119876543{number:02}", SOMEBODY, good_for_s=0.0)
    await checks.remember(T, WRITTEN, SOMEBODY, good_for_s=DAY_S)
    left = await database.read(lambda c: c.scalar(select(func.count()).select_from(number_checks)))
    assert left is not None and left <= 2
    assert await checks.of(T, [WRITTEN]) == {WRITTEN: SOMEBODY}
