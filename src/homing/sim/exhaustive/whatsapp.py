"""What WhatsApp does with what reaches it: the newcomer replaces, a known id is dropped, a message is delivered.

It is weaker than the real one may be: it looks at no version of the credentials, and an old connection is told late.
"""

from collections.abc import Iterator

from homing.sim.exhaustive.nouns import (
    ACKNOWLEDGED,
    LOGGED_IN,
    LOGIN,
    NOT_SENT,
    REFUSED,
    REPLACED,
    Frame,
    State,
    Step,
)
from homing.sim.exhaustive.parts import NAMES, message_name
from homing.sim.exhaustive.rules import Kind
from homing.sim.exhaustive.vault import Rulebook


def whatsapp_steps(state: State, book: Rulebook) -> Iterator[Step]:
    """The next frame of each connection."""
    seen = set[int]()
    for place, frame in enumerate(state.up):
        if frame.connection in seen:
            continue
        seen.add(frame.connection)
        rest = state._replace(up=state.up[:place] + state.up[place + 1 :])
        if frame.what == LOGIN:
            yield _login(rest, frame)
        elif frame.connection != state.whatsapp.live:
            yield Step(f"WhatsApp drops {message_name(frame.id)}: its connection was replaced", rest)
        else:
            yield _message(rest, frame, book)
            if state.luck.refusals and frame.id not in state.whatsapp.delivered:
                yield _refusal(rest, frame)


def _login(state: State, frame: Frame) -> Step:
    whatsapp = state.whatsapp
    down = state.down
    if whatsapp.live:
        down = (*down, Frame(whatsapp.live, REPLACED))
    down = (*down, Frame(frame.connection, LOGGED_IN))
    after = state._replace(whatsapp=whatsapp._replace(live=frame.connection), down=down)
    return Step(f"WhatsApp takes the login of {NAMES[frame.speaker[0]]} under epoch {frame.speaker[1]}", after)


def _refusal(state: State, frame: Frame) -> Step:
    down = (*state.down, Frame(frame.connection, REFUSED, frame.id, frame.counter))
    luck = state.luck._replace(refusals=state.luck.refusals - 1)
    return Step(f"WhatsApp refuses {message_name(frame.id)}", state._replace(down=down, luck=luck))


def _message(state: State, frame: Frame, book: Rulebook) -> Step:
    whatsapp, said = state.whatsapp, message_name(frame.id)
    down = (*state.down, Frame(frame.connection, ACKNOWLEDGED, frame.id, frame.counter))
    if frame.id in whatsapp.delivered:
        return Step(f"WhatsApp knows {said} already, and acknowledges it again", state._replace(down=down))
    epoch = frame.speaker[1]
    after = whatsapp._replace(
        counter=max(whatsapp.counter, frame.counter),
        newest=max(whatsapp.newest, epoch),
        delivered=tuple(sorted((*whatsapp.delivered, frame.id))),
    )
    words = f"{said} reaches its reader, from {NAMES[frame.speaker[0]]} under epoch {epoch}"
    return Step(words, state._replace(whatsapp=after, down=down), _broken(state, frame, book))


def _broken(state: State, frame: Frame, book: Rulebook) -> str | None:
    whatsapp = state.whatsapp
    if any(known[0] == frame.id[0] for known in whatsapp.delivered):
        return "a message reached its reader twice"
    if frame.speaker[1] < whatsapp.newest:
        return "a message under an older epoch arrived after one under a newer epoch"
    if state.sends[frame.id[0]].outcome == NOT_SENT:
        return "a message arrived that was said not to be sent"
    if book.setting.kind is Kind.OURS and frame.counter <= whatsapp.counter:
        return "a ratchet counter was used again"
    return None
