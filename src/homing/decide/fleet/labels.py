"""Which labels must an instance have to hold a session, and does it have them?"""

from collections.abc import Mapping

from homing.model.fleet import Instance


def lacks(instance: Instance, requires: Mapping[str, str]) -> str | None:
    """The first label that the session requires and the instance does not have."""
    for name, value in sorted(requires.items()):
        its = instance.labels.get(name)
        if its != value:
            return f"has no {name}={value}" if its is None else f"has {name}={its}, not {value}"
    return None


def shown(labels: Mapping[str, str]) -> str:
    """As people write them."""
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
