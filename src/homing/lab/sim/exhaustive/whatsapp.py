"""What WhatsApp does with what reaches it: the newcomer replaces, a known id is dropped, a message is delivered.

It is weaker than the real one may be: it looks at no version of the credentials, and an old connection is told late.
"""

from collections.abc import Iterator

from homing.lab.sim.exhaustive.nouns import (
    ACKNOWLEDGED,
    LOGGED_IN,
    LOGIN,
    NOT_SENT,
    REFUSED,
    REPLACED,
    FrameInFlight,
    SmallStep,
    SmallWorld,
)
from homing.lab.sim.exhaustive.parts import NAMES, message_name
from homing.lab.sim.exhaustive.rules import InstancesKind
from homing.lab.sim.exhaustive.vault import Rulebook


def whatsapp_steps(state: SmallWorld, book: Rulebook) -> Iterator[SmallStep]:
    """The next frame of each connection."""
    seen = set[int]()
    for place, frame in enumerate(state.up):
        if frame.connection in seen:
            continue
        seen.add(frame.connection)
        rest = state._replace(up=state.up[:place] + state.up[place + 1 :])
        if frame.what == LOGIN:
            yield _login(rest, frame)
            continue
        yield _message(rest, frame, book)
        if state.luck.refusals and not state.whatsapp.knows(frame.id):
            luck = rest.luck._replace(refusals=rest.luck.refusals - 1)
            words = f"WhatsApp refuses {message_name(frame.id)}: not to this person, now"
            yield SmallStep(words, _refused(rest, frame)._replace(luck=luck))


def _login(state: SmallWorld, frame: FrameInFlight) -> SmallStep:
    whatsapp = state.whatsapp
    down = state.down
    if whatsapp.live:
        down = (*down, FrameInFlight(whatsapp.live, REPLACED))
    down = (*down, FrameInFlight(frame.connection, LOGGED_IN))
    after = state._replace(whatsapp=whatsapp._replace(live=frame.connection), down=down)
    return SmallStep(f"WhatsApp takes the login of {NAMES[frame.speaker[0]]} under epoch {frame.speaker[1]}", after)


def _refused(state: SmallWorld, frame: FrameInFlight) -> SmallWorld:
    whatsapp = state.whatsapp
    return state._replace(
        down=(*state.down, FrameInFlight(frame.connection, REFUSED, frame.id, frame.counter)),
        whatsapp=whatsapp._replace(refused=tuple(sorted({*whatsapp.refused, frame.id}))),
    )


def _message(state: SmallWorld, frame: FrameInFlight, book: Rulebook) -> SmallStep:
    whatsapp, said = state.whatsapp, message_name(frame.id)
    down = (*state.down, FrameInFlight(frame.connection, ACKNOWLEDGED, frame.id, frame.counter))
    if whatsapp.knows(frame.id):
        return SmallStep(f"WhatsApp knows {said} already, and acknowledges it again", state._replace(down=down))
    highest = max((counter for _, counter in whatsapp.delivered), default=0)
    if book.setting.kind is InstancesKind.OURS and frame.counter <= highest:
        words = f"WhatsApp refuses {said}: it comes with counter {frame.counter} after {highest}"
        return SmallStep(words, _refused(state, frame), _wasted(state, frame))
    epoch = frame.speaker[1]
    after = whatsapp._replace(
        newest=max(whatsapp.newest, epoch), delivered=tuple(sorted((*whatsapp.delivered, (frame.id, frame.counter))))
    )
    words = f"{said} reaches its reader, from {NAMES[frame.speaker[0]]} under epoch {epoch}"
    return SmallStep(words, state._replace(whatsapp=after, down=down), _broken(state, frame, book))


def _wasted(state: SmallWorld, frame: FrameInFlight) -> str | None:
    """What WhatsApp refused before, for a reason of its own, may be refused again."""
    if any(counter == frame.counter for _, counter in state.whatsapp.delivered):
        return "a ratchet counter was used for two messages"
    if frame.id not in state.whatsapp.refused:
        return "a message that the vault has is lost, because a later one went before it"
    return None


def _broken(state: SmallWorld, frame: FrameInFlight, book: Rulebook) -> str | None:
    whatsapp = state.whatsapp
    if any(known[0] == frame.id[0] for known, _ in whatsapp.delivered):
        return "a message reached its reader twice"
    if state.sends[frame.id[0]].outcome == NOT_SENT:
        return "a message arrived that was said not to be sent"
    if frame.speaker[1] < whatsapp.newest and book.judges_order:
        return "a message under an older epoch arrived after one under a newer epoch"
    return None
