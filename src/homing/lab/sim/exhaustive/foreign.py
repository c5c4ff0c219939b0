"""What a gateway does that knows no vault: it sends at once, under ids of its own, and reconnects whatever happens."""

from collections.abc import Iterator

from homing.lab.sim.exhaustive import judgments as judge
from homing.lab.sim.exhaustive.nouns import (
    ACKNOWLEDGED,
    APART,
    LOGGED_IN,
    LOGGING_IN,
    LOGIN,
    MESSAGE,
    REPLACED,
    SPEAKING,
    FrameInFlight,
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


def foreign_steps(state: SmallWorld, at: int) -> Iterator[SmallStep]:
    """Everything that the gateway at this address may do in this state."""
    name, here = NAMES[at], state.instances[at]
    for start in state.starts:
        if start[0] == at:
            yield SmallStep(f"{name} is told to start the session", _started(state, at, start))
    if here.holds and here.line == APART:
        yield SmallStep(f"{name} logs in to WhatsApp", _logging_in(state, at))
    if here.line == SPEAKING and not here.stop_acknowledged:
        stopping = here._replace(stop_acknowledged=True)
        yield SmallStep(f"{name} is told to stop the session, and says that it did", with_instance(state, at, stopping))
    if here.stop_acknowledged and here.holds:
        gone = here._replace(epoch=0, line=APART, connection=0)
        yield SmallStep(f"{name} has stopped the session", with_instance(state, at, gone))
    yield from _hearing(state, at)
    if here.inbox:
        yield _read(state, at)


def _started(state: SmallWorld, at: int, start: tuple[int, int]) -> SmallWorld:
    rest = list(state.starts)
    rest.remove(start)
    begun = state.instances[at]._replace(epoch=start[1], line=APART, stop_acknowledged=False)
    return with_instance(state, at, begun)._replace(starts=tuple(rest))


def _logging_in(state: SmallWorld, at: int) -> SmallWorld:
    here = state.instances[at]
    connection = next_connection(state)
    state = with_instance(state, at, here._replace(line=LOGGING_IN, connection=connection))
    return state._replace(up=(*state.up, FrameInFlight(connection, LOGIN, speaker=(at, here.epoch))))


def _hearing(state: SmallWorld, at: int) -> Iterator[SmallStep]:
    name, here = NAMES[at], state.instances[at]
    frame = next(queued_down(state, here.connection), None)
    if frame is None:
        return
    rest = list(state.down)
    rest.remove(frame)
    state = state._replace(down=tuple(rest))
    if frame.what == LOGGED_IN:
        yield SmallStep(f"{name} is logged in", with_instance(state, at, here._replace(line=SPEAKING)))
    elif frame.what == REPLACED:
        again = here._replace(line=APART, connection=0)
        yield SmallStep(f"{name} hears that it was replaced, and will connect again", with_instance(state, at, again))
    elif frame.what == ACKNOWLEDGED:
        words = f"{name} hears that WhatsApp has {message_name(frame.id)}"
        yield receipt(state, at, (frame.id[0], 0), words)


def _read(state: SmallWorld, at: int) -> SmallStep:
    name, here = NAMES[at], state.instances[at]
    request = here.inbox[0]
    said = message_name(request.id)
    state = with_instance(state, at, here._replace(inbox=here.inbox[1:]))
    if not here.holds:
        words = f"{name} reads the request for {said}, and has no such session"
        return SmallStep(words, answered(state, at, request.id, judge.SAFE))
    if here.line != SPEAKING:
        words = f"{name} reads the request for {said}, and is not connected"
        return SmallStep(words, answered(state, at, request.id, judge.SAFE))
    own_id = (request.id[0], state.own_ids)
    frame = FrameInFlight(here.connection, MESSAGE, own_id, 0, (at, here.epoch))
    after = state._replace(up=(*state.up, frame), own_ids=state.own_ids + 1)
    return SmallStep(f"{name} reads the request for {said} and puts it on the wire under an id of its own", after)
