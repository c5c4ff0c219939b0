"""What gateways may do: drive a send as the product decides, grant the session to an instance, die."""

from collections.abc import Iterator

from homing.lab.sim.exhaustive import judgments as judge
from homing.lab.sim.exhaustive import vault as vaults
from homing.lab.sim.exhaustive.nouns import (
    DONE,
    DOWN,
    NOBODY,
    READY,
    SPEAKING,
    UP,
    WAITING,
    Send,
    SmallRequest,
    SmallStep,
    SmallWorld,
)
from homing.lab.sim.exhaustive.parts import NAMES, failed, finished, message_name, with_instance, with_send
from homing.lab.sim.exhaustive.rules import InstancesKind
from homing.lab.sim.exhaustive.vault import Rulebook

_OUTCOMES = {1: "sent", 2: "not sent", 3: "unknown"}


def gateway_steps(state: SmallWorld, book: Rulebook) -> Iterator[SmallStep]:
    """Everything that the gateways may do in this state."""
    yield from _grants(state, book)
    for number in range(book.setting.messages):
        # The two messages are alike: whatever happens to the second first happens to the first one elsewhere.
        if number == 0 or state.sends[0].doing != READY or state.sends[0].past or state.sends[1].doing != READY:
            yield from _driving(state, number, book)


# Granting


def _grants(state: SmallWorld, book: Rulebook) -> Iterator[SmallStep]:
    if not state.luck.grants or not _may_grant_now(state, book):
        return
    if book.setting.kind is InstancesKind.OURS:
        yield from _granting_ours(state, book)
    else:
        yield from _granting_foreign(state, book)


def _may_grant_now(state: SmallWorld, book: Rulebook) -> bool:
    """After a failover the instances that live declare again what they hold, before anything is granted."""
    if not book.keeps("grace"):
        return True
    pairs = zip(state.instances, state.known_timelines, strict=True)
    return all(here.life != UP or known == state.timeline for here, known in pairs)


def _granting_ours(state: SmallWorld, book: Rulebook) -> Iterator[SmallStep]:
    holder = state.vault.holder
    lease = state.leases[holder[0]]
    left = lease.left if lease.boot == holder[1] else 0
    if not judge.may_grant(holder != NOBODY, left):
        return
    for target in (0, 1):
        if state.instances[target].life != DOWN:
            row = vaults.granted(state.vault, (target, state.leases[target].boot), book)
            yield _granted(state._replace(vault=row), target, row.epoch)


def _granting_foreign(state: SmallWorld, book: Rulebook) -> Iterator[SmallStep]:
    held_at, epoch = state.placement
    holder, target = state.instances[held_at], 1 - held_at
    exited = holder.life == DOWN
    gone = not holder.holds or not book.keeps("stopped-and-gone")
    answers = holder.life == UP
    fenced = judge.may_grant_foreign(answers and holder.stop_acknowledged and gone, exited)
    if (fenced or not book.keeps("fence-first")) and state.instances[target].life != DOWN:
        yield _granted(state, target, epoch + 1)


def _granted(state: SmallWorld, target: int, epoch: int) -> SmallStep:
    after = state._replace(
        placement=(target, epoch),
        starts=tuple(sorted((*state.starts, (target, epoch)))),
        luck=state.luck._replace(grants=state.luck.grants - 1),
        newest=max(state.newest, epoch),
    )
    return SmallStep(f"a gateway grants the session to {NAMES[target]} at epoch {epoch}", after)


# Driving a send


def _driving(state: SmallWorld, number: int, book: Rulebook) -> Iterator[SmallStep]:
    send = state.sends[number]
    if send.doing == READY:
        yield from _next(state, number, send, book)
    elif send.doing == WAITING:
        yield _waiting(state, number, send)
    if state.luck.gateway_deaths and send.doing != DONE and (send.past or send.doing == WAITING):
        again = send._replace(doing=READY, past=(), repeated=True, place=state.placement)
        luck = state.luck._replace(gateway_deaths=state.luck.gateway_deaths - 1)
        words = f"the gateway of {message_name(send.id)} dies; the other one drives it on"
        yield SmallStep(words, with_send(state, number, again)._replace(luck=luck))


def _next(state: SmallWorld, number: int, send: Send, book: Rulebook) -> Iterator[SmallStep]:
    chooses_id = book.setting.kind is InstancesKind.OURS
    if not send.past:
        yield from _first_try(state, number, send, chooses_id)
        return
    claims = chooses_id or not book.keeps("no-blind-repeat")
    safe = not book.keeps("silence-is-ambiguous")
    step = judge.next_step(send.past, send.repeated, claims, True, safe)
    if step in (judge.TRY, judge.LOOK):
        if len(send.past) < book.setting.attempts:
            yield from _look(state, number, send, book)
        step = judge.next_step(send.past, send.repeated, claims, False, safe)
    yield _finish(state, number, step)


def _first_try(state: SmallWorld, number: int, send: Send, chooses_id: bool) -> Iterator[SmallStep]:
    """By the route in the cache, or by that of the directory."""
    if judge.must_not_repeat((), send.repeated, chooses_id):
        yield _finish(state, number, judge.next_step((judge.CANNOT_REPEAT,), send.repeated, chooses_id, True, False))
        return
    for place in sorted({send.place, state.placement}):
        yield _handed_over(state, number, send._replace(place=place))


def _look(state: SmallWorld, number: int, send: Send, book: Rulebook) -> Iterator[SmallStep]:
    """The directory is read again, corrected by what an instance shows to hold at a higher epoch, and followed."""
    placement = state.placement
    for at, instance in enumerate(state.instances):
        if instance.life == UP and instance.line == SPEAKING and instance.epoch > placement[1]:
            placement = (at, instance.epoch)
    holder = state.instances[placement[0]]
    if placement == send.place and not (holder.life == UP and holder.line == SPEAKING):
        return
    state = state._replace(placement=placement)
    looked = send._replace(place=placement, past=(*send.past, judge.LOOKED))
    chooses_id = book.setting.kind is InstancesKind.OURS
    claims = chooses_id or not book.keeps("no-blind-repeat")
    step = judge.next_step(looked.past, send.repeated, claims, True, not book.keeps("silence-is-ambiguous"))
    if step == judge.TRY:
        yield _try(state, number, send._replace(place=placement), claims, book)


def _try(state: SmallWorld, number: int, send: Send, chooses_id: bool, book: Rulebook) -> SmallStep:
    if judge.must_not_repeat(send.past, send.repeated, chooses_id):
        past = (*send.past, judge.CANNOT_REPEAT)
        return _finish(state, number, judge.next_step(past, send.repeated, chooses_id, True, False))
    if not book.keeps("one-id"):
        send = send._replace(id=(number, send.id[1] + 1))
    return _handed_over(state, number, send)


def _handed_over(state: SmallWorld, number: int, send: Send) -> SmallStep:
    at, epoch = send.place
    words = f"a gateway asks {NAMES[at]} to send {message_name(send.id)} under epoch {epoch}"
    here = state.instances[at]
    if here.life == DOWN:
        return SmallStep(f"{words}, and is refused", failed(state, number, judge.SAFE))
    state = with_send(state, number, send._replace(doing=WAITING))
    return SmallStep(words, with_instance(state, at, here._replace(inbox=(*here.inbox, SmallRequest(send.id, epoch)))))


def _waiting(state: SmallWorld, number: int, send: Send) -> SmallStep:
    words = f"a gateway gives up waiting for {NAMES[send.place[0]]} to send {message_name(send.id)}"
    return SmallStep(words, failed(state, number, judge.SILENCE))


def _finish(state: SmallWorld, number: int, outcome: int) -> SmallStep:
    send = state.sends[number]
    after, broken = finished(state, number, outcome)
    return SmallStep(f"a gateway answers for {message_name(send.id)}: {_OUTCOMES[outcome]}", after, broken)
