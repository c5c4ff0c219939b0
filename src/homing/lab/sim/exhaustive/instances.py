"""What an instance may do next, and what may be done to it."""

from collections.abc import Iterator

from homing.lab.sim.exhaustive import judgments as judge
from homing.lab.sim.exhaustive import vault as vaults
from homing.lab.sim.exhaustive.foreign import foreign_steps
from homing.lab.sim.exhaustive.nouns import (
    APART,
    DOWN,
    FROZEN,
    LOGGED_IN,
    LOGGING_IN,
    LOGIN,
    MESSAGE,
    RASH,
    RASHLY_IN,
    REFUSED,
    REPLACED,
    SPEAKING,
    UP,
    Boot,
    FrameInFlight,
    MessageId,
    Own,
    Place,
    Renewal,
    SmallInstance,
    SmallLease,
    SmallRequest,
    SmallStep,
    SmallWorld,
)
from homing.lab.sim.exhaustive.parts import (
    NAMES,
    answered,
    message_name,
    next_connection,
    queued_down,
    receipt,
    with_instance,
)
from homing.lab.sim.exhaustive.rules import InstancesKind
from homing.lab.sim.exhaustive.vault import Rulebook


def instance_steps(state: SmallWorld, at: int, book: Rulebook) -> Iterator[SmallStep]:
    """Everything that this instance may do, or meet, in this state."""
    yield from _life(state, at, book)
    if state.instances[at].life != UP:
        return
    if book.setting.kind is InstancesKind.FOREIGN:
        yield from foreign_steps(state, at)
        return
    yield from _renewing(state, at, book)
    yield from _opening(state, at, book)
    yield from _connecting(state, at, book)
    yield from _hearing(state, at, book)
    yield from _sending(state, at, book)


# Life


def _life(state: SmallWorld, at: int, book: Rulebook) -> Iterator[SmallStep]:
    name, here, luck = NAMES[at], state.instances[at], state.luck
    if here.life == FROZEN:
        yield SmallStep(f"{name} wakes", with_instance(state, at, here._replace(life=UP)))
        return
    if here.life == DOWN:
        if book.setting.kind is InstancesKind.OURS and here.boot == 1:
            yield SmallStep(f"{name} boots again", _booted(state, at, book))
        return
    if luck.freezes:
        frozen = with_instance(state, at, here._replace(life=FROZEN))
        yield SmallStep(f"{name} freezes", frozen._replace(luck=luck._replace(freezes=luck.freezes - 1)))
    if luck.crashes:
        dead = with_instance(state, at, SmallInstance(DOWN, here.boot, book.setting.self_fence))
        yield SmallStep(f"{name} crashes", dead._replace(luck=luck._replace(crashes=luck.crashes - 1)))
    if luck.breaks and here.connection:
        yield SmallStep(f"{name}'s connection to WhatsApp breaks", _broken(state, at, book))


def _booted(state: SmallWorld, at: int, book: Rulebook) -> SmallWorld:
    boot = state.instances[at].boot + 1
    fresh = with_instance(state, at, SmallInstance(UP, boot, 0))
    leases = _with_lease(state, at, SmallLease(boot, book.setting.expiry))
    timelines = _with_timeline(state, at)
    return fresh._replace(leases=leases, known_timelines=timelines)


def _broken(state: SmallWorld, at: int, book: Rulebook) -> SmallWorld:
    """What was on the wire is lost, in both directions."""
    here = state.instances[at]
    whatsapp = state.whatsapp
    if whatsapp.live == here.connection:
        whatsapp = whatsapp._replace(live=0)
    state = _word_on_reserved(state, at, book)
    return with_instance(state, at, here._replace(line=APART, connection=0))._replace(
        whatsapp=whatsapp,
        up=tuple(frame for frame in state.up if frame.connection != here.connection),
        down=tuple(frame for frame in state.down if frame.connection != here.connection),
        luck=state.luck._replace(breaks=state.luck.breaks - 1),
    )


def _word_on_reserved(state: SmallWorld, at: int, book: Rulebook) -> SmallWorld:
    """What was reserved may still arrive: whoever waits for it hears nothing, and may not conclude from that."""
    if not book.keeps("reserved-is-unknown"):
        for own in state.instances[at].own:
            state = answered(state, at, own.id, judge.SAFE)
    return state


# The lease


def acts(here: SmallInstance, book: Rulebook) -> bool:
    return not book.setting.clocks or judge.may_act(here.asked, book.setting.self_fence)


def _renewing(state: SmallWorld, at: int, book: Rulebook) -> Iterator[SmallStep]:
    name, here = NAMES[at], state.instances[at]
    if not book.setting.clocks:
        if state.known_timelines[at] != state.timeline or (here.holds and not _granted(state, at)):
            yield SmallStep(f"{name} renews its lease and looks what it holds", _renewed(state, at, Renewal(0), book))
    elif here.renewal is None:
        if here.asked > 0 and here.holds:
            asking = here._replace(renewal=Renewal(0))
            yield SmallStep(f"{name} asks the store to renew its lease", with_instance(state, at, asking))
    elif here.renewal.applied:
        yield SmallStep(f"{name} hears that its lease is renewed", _renewed(state, at, here.renewal, book))


def _renewed(state: SmallWorld, at: int, renewal: Renewal, book: Rulebook) -> SmallWorld:
    """It may act again, after it looked whether the session is still its own."""
    here = state.instances[at]
    asked = min(renewal.age, book.setting.self_fence) if book.keeps("count-from-asking") else 0
    state = with_instance(state, at, here._replace(renewal=None, asked=asked))
    if state.known_timelines[at] != state.timeline:
        state = state._replace(known_timelines=_with_timeline(state, at))
        if here.holds and book.keeps("redeclare"):
            again = vaults.redeclared(state.vault, here.epoch, (at, here.boot), here.last_counter)
            return _left(state, at, book) if again is None else state._replace(vault=again)
    if here.holds and not _granted(state, at):
        return _left(state, at, book)
    return state


def _forgotten(state: SmallWorld, at: int) -> bool:
    """The vault has lost the grant with its newest commits: that proves nothing, and whoever holds it holds on."""
    return state.vault.epoch < state.instances[at].epoch


def _granted(state: SmallWorld, at: int) -> bool:
    here = state.instances[at]
    return state.vault.epoch == here.epoch and state.vault.holder == (at, here.boot)


# The session


def _opening(state: SmallWorld, at: int, book: Rulebook) -> Iterator[SmallStep]:
    name, here = NAMES[at], state.instances[at]
    for start in state.starts:
        if start[0] == at:
            words, after = f"{name} is told to start the session at epoch {start[1]}", _started(state, at, start, book)
            yield SmallStep(words, after)
            if state.luck.repeats:
                luck = state.luck._replace(repeats=state.luck.repeats - 1)
                yield SmallStep(f"{words}, and will be told again", after._replace(starts=state.starts, luck=luck))
    last_held = state.vault.holder
    if not here.holds and here.boot > 1 and last_held[0] == at and last_held[1] < here.boot and state.luck.grants:
        after = _opened(state, at, state.vault.epoch + 1, book)
        luck = state.luck._replace(grants=state.luck.grants - 1)
        yield SmallStep(f"{name} takes up what its earlier boot held, at the next epoch", after._replace(luck=luck))


def _started(state: SmallWorld, at: int, start: Place, book: Rulebook) -> SmallWorld:
    rest = list(state.starts)
    rest.remove(start)
    state = state._replace(starts=tuple(rest))
    return _opened(state, at, start[1], book) if start[1] > state.instances[at].epoch else state


def _opened(state: SmallWorld, at: int, epoch: int, book: Rulebook) -> SmallWorld:
    here = state.instances[at]
    row = vaults.opened(state.vault, epoch, (at, here.boot), book)
    if row is None:
        return _left(state, at, book) if here.holds and state.vault.epoch > here.epoch else state
    state = _left(state, at, book)._replace(vault=row, newest=max(state.newest, epoch))
    own = vaults.unfinished(row) if book.keeps("unfinished-first") else ()
    last = row.last_counter if state.luck.failovers else 0
    return with_instance(state, at, state.instances[at]._replace(epoch=epoch, own=own, last_counter=last))


def _left(state: SmallWorld, at: int, book: Rulebook) -> SmallWorld:
    """The session is another's: let go of it."""
    here = state.instances[at]
    state = _word_on_reserved(state, at, book)
    return with_instance(state, at, here._replace(epoch=0, line=APART, connection=0, own=(), last_counter=0))


# The connection


def _connecting(state: SmallWorld, at: int, book: Rulebook) -> Iterator[SmallStep]:
    """It asks the vault first. The answer may be old by the time the login leaves, so it proves nothing here."""
    name, here = NAMES[at], state.instances[at]
    if not here.holds or here.line not in (APART, RASH) or not acts(here, book):
        return
    connection = next_connection(state)
    line = RASHLY_IN if here.line == RASH else LOGGING_IN
    after = with_instance(state, at, here._replace(line=line, connection=connection))
    login = FrameInFlight(connection, LOGIN, speaker=(at, here.epoch))
    yield SmallStep(f"{name} logs in to WhatsApp under epoch {here.epoch}", after._replace(up=(*state.up, login)))


def _hearing(state: SmallWorld, at: int, book: Rulebook) -> Iterator[SmallStep]:
    """The next word from WhatsApp over the present connection."""
    for frame in queued_down(state, state.instances[at].connection):
        rest = list(state.down)
        rest.remove(frame)
        yield from _heard(state._replace(down=tuple(rest)), at, frame, book)


def _heard(state: SmallWorld, at: int, frame: FrameInFlight, book: Rulebook) -> Iterator[SmallStep]:
    if frame.what == LOGGED_IN:
        if acts(state.instances[at], book) and not _forgotten(state, at):
            yield _saved(state, at, book)
    elif frame.what == REPLACED:
        yield _replaced(state, at, book)
    elif frame.what == REFUSED:
        yield from _refused(state, at, frame.id, book)
    else:
        yield _acknowledged(state, at, frame.id, book)


def _saved(state: SmallWorld, at: int, book: Rulebook) -> SmallStep:
    name, here = NAMES[at], state.instances[at]
    rash = here.line == RASHLY_IN or not book.keeps("save-before-speaking")
    if not rash and not _granted(state, at):
        return SmallStep(
            f"{name} is logged in; the vault refuses what it would save, and it leaves", _left(state, at, book)
        )
    own = tuple(each._replace(waiting=True) for each in here.own)
    speaking = with_instance(state, at, here._replace(line=SPEAKING, own=own))
    return SmallStep(f"{name} is logged in under epoch {here.epoch}", speaking)


def _replaced(state: SmallWorld, at: int, book: Rulebook) -> SmallStep:
    name, here = NAMES[at], state.instances[at]
    if not book.keeps("replaced-stays-away"):
        rash = with_instance(state, at, here._replace(line=RASH, connection=0))
        return SmallStep(f"{name} hears that it was replaced, and connects again", rash)
    return SmallStep(f"{name} hears that it was replaced, and leaves the session", _left(state, at, book))


def _refused(state: SmallWorld, at: int, message: MessageId, book: Rulebook) -> Iterator[SmallStep]:
    """WhatsApp does not take it. Whoever is told that it was not sent must be able to rely on it."""
    name, here = NAMES[at], state.instances[at]
    words = f"{name} hears that WhatsApp refuses {message_name(message)}"
    state = with_instance(state, at, here._replace(own=tuple(each for each in here.own if each.id != message)))
    row = vaults.settled(state.vault, here.epoch, (at, here.boot), message, acknowledged=False)
    if row is not None and acts(here, book):
        after = state._replace(vault=row)
        yield SmallStep(
            f"{words}; the vault drops it, its sender is told", answered(after, at, message, judge.REJECTED)
        )
    if not book.keeps("drop-before-word"):
        yield SmallStep(f"{words}; its sender is told", answered(state, at, message, judge.REJECTED))


def _acknowledged(state: SmallWorld, at: int, message: MessageId, book: Rulebook) -> SmallStep:
    here = state.instances[at]
    state = with_instance(state, at, here._replace(own=tuple(each for each in here.own if each.id != message)))
    row = vaults.settled(state.vault, here.epoch, (at, here.boot), message, acknowledged=True)
    if row is not None and acts(here, book):
        state = state._replace(vault=row)
    return receipt(state, at, message, f"{NAMES[at]} hears that WhatsApp has {message_name(message)}")


# Messages


def _sending(state: SmallWorld, at: int, book: Rulebook) -> Iterator[SmallStep]:
    here = state.instances[at]
    if here.inbox:
        yield _read(state, at, here.inbox[0], book)
    if here.line == SPEAKING:
        waiting = next((own for own in here.own if own.waiting), None)
        if waiting is not None and (acts(here, book) or not book.keeps("lease-before-bytes")):
            yield _speak(state, at, waiting)


def _read(state: SmallWorld, at: int, request: SmallRequest, book: Rulebook) -> SmallStep:
    name, here = NAMES[at], state.instances[at]
    words = f"{name} reads the request for {message_name(request.id)}"
    state = with_instance(state, at, here._replace(inbox=here.inbox[1:]))
    if not acts(here, book):
        return SmallStep(f"{words}, and is paused", answered(state, at, request.id, judge.SAFE))
    if not here.holds:
        return SmallStep(f"{words}, and has no such session", answered(state, at, request.id, judge.SAFE))
    if request.epoch != here.epoch:
        if request.epoch > here.epoch and state.vault.epoch > here.epoch:
            state = _left(state, at, book)
        words = f"{words} under epoch {request.epoch}, which is not its own"
        return SmallStep(words, answered(state, at, request.id, judge.SAFE))
    if here.line != SPEAKING:
        return SmallStep(f"{words}, and is not connected", answered(state, at, request.id, judge.SAFE))
    if any(own.id == request.id for own in here.own):
        return SmallStep(f"{words}, which is on its way already", state)
    return _reserve(state, at, request.id, book)


def _reserve(state: SmallWorld, at: int, message: MessageId, book: Rulebook) -> SmallStep:
    name, here = NAMES[at], state.instances[at]
    said = message_name(message)
    if not book.keeps("reserve-first"):
        counter = max([state.vault.last_counter, *(own.counter for own in here.own)]) + 1
        handed = here._replace(own=(*here.own, Own(counter, message, waiting=True)))
        return SmallStep(f"{name} hands {said} on without asking the vault", with_instance(state, at, handed))
    boot: Boot = (at, here.boot)
    answer = vaults.reserved(state.vault, here.epoch, boot, message, here.last_counter, book)
    if answer is None:
        refused = answered(state, at, message, judge.SAFE)
        after = refused if _forgotten(state, at) else _left(refused, at, book)
        return SmallStep(f"{name} would reserve {said} under epoch {here.epoch}; the vault refuses", after)
    row, reservation = answer
    state = state._replace(vault=row)
    if reservation.acknowledged:
        return receipt(state, at, message, f"{name} is asked for {said}, and the vault knows that WhatsApp has it")
    own = tuple(sorted((*here.own, Own(reservation.counter, message, waiting=True))))
    last = max(here.last_counter, reservation.counter) if state.luck.failovers else here.last_counter
    stale = here.epoch < state.newest and book.judges_order
    return SmallStep(
        f"the vault reserves {said} for {name} under epoch {here.epoch}",
        with_instance(state, at, here._replace(own=own, last_counter=last)),
        broken="a message was reserved under an epoch that is over" if stale else None,
    )


def _speak(state: SmallWorld, at: int, message: Own) -> SmallStep:
    name, here = NAMES[at], state.instances[at]
    own = tuple(each._replace(waiting=False) if each is message else each for each in here.own)
    frame = FrameInFlight(here.connection, MESSAGE, message.id, message.counter, (at, here.epoch))
    spoken, broken = _spoke(state.speakers, here.epoch, (at, here.boot))
    after = with_instance(state, at, here._replace(own=own))._replace(up=(*state.up, frame), speakers=spoken)
    lease = state.leases[at]
    if lease.boot == here.boot and lease.left <= 0:
        broken = "bytes left an instance whose lease the store had given away"
    return SmallStep(f"{name} puts {message_name(message.id)} on the wire under epoch {here.epoch}", after, broken)


def _spoke(
    speakers: tuple[tuple[int, Boot], ...], epoch: int, boot: Boot
) -> tuple[tuple[tuple[int, Boot], ...], str | None]:
    """Who spoke under which epoch."""
    for known_epoch, known in speakers:
        if known_epoch == epoch:
            return speakers, None if known == boot else "two boots spoke under one epoch"
    return tuple(sorted((*speakers, (epoch, boot)))), None


# Small steps


def _with_lease(state: SmallWorld, at: int, lease: SmallLease) -> tuple[SmallLease, SmallLease]:
    return (lease, state.leases[1]) if at == 0 else (state.leases[0], lease)


def _with_timeline(state: SmallWorld, at: int) -> tuple[int, int]:
    known = state.known_timelines
    return (state.timeline, known[1]) if at == 0 else (known[0], state.timeline)
