"""What other packages bring by entry points: loaded, checked, and left out with a warning where it is not fit.

Ours are registered the same way, and keep their names: nobody else's takes the place of one.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import structlog

log = structlog.get_logger("homing")


def brought(group: str, *, what: str, fits: Callable[[str, Any], str | None]) -> Mapping[str, Any]:
    """What is registered in this group, by name, ours first. `fits` says what is wrong with one, or None."""
    found: dict[str, Any] = {}
    for entry in sorted(entry_points(group=group), key=_of_ours_first):
        if entry.name in found:
            log.warning("Plug-in is not used: its name is taken", kind=what, name=entry.name, of=entry.value)
        elif (loaded := _loaded(entry, what, fits)) is not None:
            found[entry.name] = loaded
    return found


def _of_ours_first(entry: EntryPoint) -> tuple[bool, str, str]:
    return not entry.value.startswith("homing."), entry.name, entry.value


def _loaded(entry: EntryPoint, what: str, fits: Callable[[str, Any], str | None]) -> Any:
    """Whatever somebody else's package raises, the others go on."""
    try:
        loaded: Any = entry.load()
    except Exception as error:  # noqa: BLE001
        log.warning("Plug-in could not be loaded", kind=what, name=entry.name, of=entry.value, error=repr(error))
        return None
    if (wrong := fits(entry.name, loaded)) is not None:
        log.warning("Plug-in is not used", kind=what, name=entry.name, of=entry.value, reason=wrong)
        return None
    return loaded
