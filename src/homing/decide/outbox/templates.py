"""One text for many people: `Dear {{name}}` with each one's own name in it."""

import re
from collections.abc import Mapping

_PLACE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.-]{0,63})\s*\}\}")
PLACES_MAX = 100


def places(template: str) -> tuple[str, ...]:
    """The names of the variables in a template, each once, in their order. Raises ValueError for a broken one."""
    rest = _PLACE.sub("", template)
    if "{{" in rest or "}}" in rest:
        raise ValueError("a variable is written {{name}}: letters, digits, `_`, `.` and `-`")
    found = tuple(dict.fromkeys(_PLACE.findall(template)))
    if len(found) > PLACES_MAX:
        raise ValueError(f"it has {len(found)} variables; at most {PLACES_MAX} are taken")
    return found


def missing(template_places: tuple[str, ...], given: Mapping[str, str]) -> list[str]:
    """The variables of a template that are not given, or empty."""
    return [name for name in template_places if not given.get(name)]


def length_of(template: str, given: Mapping[str, str]) -> int:
    """How many characters the text for one person has: a variable may be long, and stand in many places."""
    added = sum(len(given[match[1]]) - len(match[0]) for match in _PLACE.finditer(template))
    return len(template) + added


def filled(template: str, given: Mapping[str, str]) -> str:
    """The text for one person. What stands in a variable is not read as a template again."""
    return _PLACE.sub(lambda match: given[match[1]], template)
