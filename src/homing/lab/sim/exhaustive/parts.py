"""Small changes to a state that several sides make."""

from collections.abc import Iterator

from homing.lab.sim.exhaustive.nouns import (
    DONE,
    LOGIN,
    NOT_SENT,
    READY,
    REFUSED,
    SENT,
    UNKNOWN,
    WAITING,
    FrameInFlight,
    MessageId,
    Send,
    SmallInstance,
    SmallStep,
    SmallWorld,
)
from homing.lab.sim.exhaustive.vault import Rulebook

NAMES = ("instance A", "instance B")


def message_name(message: MessageId) -> str:
    number, variant = message
    return f"message {number + 1}" + (f" (id {variant + 1})" if variant else "")


def with_instance(state: SmallWorld, at: int, here: SmallInstance) -> SmallWorld:
    return state._replace(instances=(here, state.instances[1]) if at == 0 else (state.instances[0], here))


def with_send(state: SmallWorld, number: int, send: Send) -> SmallWorld:
    return state._replace(sends=(send, state.sends[1]) if number == 0 else (state.sends[0], send))


def waits_for(state: SmallWorld, at: int, message: MessageId) -> bool:
    """Whether a gateway waits for this instance to send the message."""
    send = state.sends[message[0]]
    return send.doing == WAITING and send.place[0] == at and send.id == message


def answered(state: SmallWorld, at: int, message: MessageId, code: int) -> SmallWorld:
    """The instance says why it does not send; who waits there hears it."""
    return failed(state, message[0], code) if waits_for(state, at, message) else state


def failed(state: SmallWorld, number: int, code: int) -> SmallWorld:
    """One more attempt of a send failed. In which order they did makes no difference to what comes next."""
    send = state.sends[number]
    return with_send(state, number, send._replace(doing=READY, past=tuple(sorted((*send.past, code)))))


def receipt(state: SmallWorld, at: int, message: MessageId, words: str) -> SmallStep:
    """The instance says that WhatsApp has the message; who waits there answers its caller."""
    if not waits_for(state, at, message):
        return SmallStep(words, state)
    after, broken = finished(state, message[0], SENT)
    return SmallStep(f"{words}; a gateway answers: sent", after, broken)


def finished(state: SmallWorld, number: int, outcome: int) -> tuple[SmallWorld, str | None]:
    """The send has its outcome; and what is wrong with that, seen from outside."""
    arrived = any(known[0] == number for known, _ in state.whatsapp.delivered)
    broken = None
    if outcome == SENT and not arrived:
        broken = "a message was said to be sent that did not arrive"
    if outcome == NOT_SENT and arrived:
        broken = "a message was said not to be sent that had arrived"
    # Sent and unknown promise nothing more: for what may still come they are one.
    done = Send(DONE, (-1, 0), (number, 0), outcome=NOT_SENT if outcome == NOT_SENT else UNKNOWN)
    return with_send(state, number, done), broken


def next_connection(state: SmallWorld) -> int:
    """A number that no connection has that still matters."""
    used = {state.whatsapp.live, *(instance.connection for instance in state.instances)}
    used.update(frame.connection for frame in state.up)
    used.update(frame.connection for frame in state.down)
    return max(used) + 1


def queued_down(state: SmallWorld, connection: int) -> Iterator[FrameInFlight]:
    """The oldest word on its way back over this connection; the next too while the vault cannot hear of a refusal."""
    for frame in state.down:
        if frame.connection == connection != 0:
            yield frame
            if frame.what != REFUSED:
                return


def canonical(state: SmallWorld, book: Rulebook) -> SmallWorld:
    """The same state without what can have no effect any more, its connections numbered anew."""
    one, other = state.instances
    live = state.whatsapp.live
    down, up, starts = state.down, state.up, state.starts
    if down:
        down = tuple(frame for frame in down if frame.connection in (one.connection, other.connection))
    if up:
        up = _heard(up, live)
    if starts and book.keeps("open-forward"):
        starts = tuple(start for start in starts if start[1] >= state.vault.epoch)
    used = {0, live, one.connection, other.connection, *(frame.connection for frame in up)}
    if max(used) < len(used):
        if len(down) == len(state.down) and len(up) == len(state.up) and len(starts) == len(state.starts):
            return state
        return state._replace(down=down, up=up, starts=starts)
    names = {old: new for new, old in enumerate(sorted(used))}
    return state._replace(
        instances=(
            one._replace(connection=names[one.connection]),
            other._replace(connection=names[other.connection]),
        ),
        whatsapp=state.whatsapp._replace(live=names[live]),
        up=tuple(frame._replace(connection=names[frame.connection]) for frame in up),
        down=tuple(frame._replace(connection=names[frame.connection]) for frame in down),
        starts=starts,
    )


def _heard(up: tuple[FrameInFlight, ...], live: int) -> tuple[FrameInFlight, ...]:
    """Frames over a connection that was replaced, and does not log in again, go nowhere."""
    counting = {live}
    heard = list[FrameInFlight]()
    for frame in up:
        if frame.what == LOGIN:
            counting.add(frame.connection)
        if frame.connection in counting:
            heard.append(frame)
    return tuple(heard)
