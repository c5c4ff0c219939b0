"""When did happen what an event tells of? An old one that is told again is no evidence of now."""

from datetime import datetime

from homing.model.instances.events import Event


def happened_at(event: Event) -> datetime:
    """When it happened, as its gateway says, and no later than it was received. Without its word, when it came.

    A message that somebody sends us again after weeks, when nobody remembers that it came before, is of that day.
    """
    told = event.occurred_at
    return event.received_at if told is None else min(told, event.received_at)
