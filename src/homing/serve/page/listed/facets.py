"""By what the sessions can be narrowed, each with how many there are of it."""

from collections.abc import Mapping
from typing import Any

from homing.decide.knowledge.standing import Standing
from homing.model.fleet import WorkspaceId
from homing.serve.page import words
from homing.serve.page.viewer import Shape, Viewer
from homing.serve.state.finding import SessionSearch, Sign

SHOWN_MOST = 30
_ASKED = {
    "q": "q",
    "standing": "standing",
    "sign": "sign",
    "instance": "instance_url",
    "driver": "driver",
    "workspace": "workspace_id",
}
"""How each is called on the page, and in the API."""
_SIGNS = {Sign.DEAF: "connected but deaf", Sign.DUPLICATE: "held twice", Sign.UNPAIRED: "to be paired"}
_SIGN_SHAPES = {Sign.DEAF: ("up", "warn"), Sign.DUPLICATE: ("up", "warn"), Sign.UNPAIRED: ("bars", "warn")}


def kept(query: Mapping[str, str]) -> dict[str, str]:
    """What is asked for, as it is kept in addresses. What means nothing excludes nothing."""
    found = {name: query.get(name, "")[:200].strip() for name in _ASKED}
    if found["sign"] not in set(Sign):
        found["sign"] = ""
    if not (found["workspace"].isdecimal() and len(found["workspace"]) < 18):
        found["workspace"] = ""
    return found


def search(viewer: Viewer, asked_for: Mapping[str, str]) -> SessionSearch:
    """The same, for the finder. A workspace's own key finds its own, whatever it asks for."""
    scope = viewer.scope
    if scope is None and asked_for["workspace"]:
        scope = WorkspaceId(int(asked_for["workspace"]))
    return SessionSearch(
        scope,
        asked_for["q"],
        asked_for["standing"] or None,
        asked_for["instance"] or None,
        Sign(asked_for["sign"]) if asked_for["sign"] else None,
        asked_for["driver"] or None,
    )


def asked(asked_for: Mapping[str, str]) -> dict[str, str]:
    """The same, for the API."""
    return {_ASKED[name]: value for name, value in asked_for.items() if value}


def href(asked_for: Mapping[str, str], changed: Mapping[str, str]) -> str:
    return words.href("/sessions", {**asked_for, **changed})


def groups(viewer: Viewer, asked_for: dict[str, str]) -> list[dict[str, Any]]:
    live, scope = viewer.live, viewer.scope
    by, total = live.book.by_standing(scope), live.book.counts(scope).total
    states = [_facet(asked_for, "standing", "", "any", total, None)]
    states += [
        _facet(asked_for, "standing", each.value, each.value, by[each], Shape(*words.SHAPES[each], each.value))
        for each in Standing
        if by[each] or asked_for["standing"] == each.value
    ]
    rows = sorted(live.instances(scope), key=lambda row: -row.sessions)
    places = [("", "any", total), *((row.url, viewer.short(row.url), row.sessions) for row in rows[:SHOWN_MOST])]
    drivers: dict[str, int] = {}
    for row in rows:
        drivers[row.driver] = drivers.get(row.driver, 0) + row.sessions
    found = [
        {"name": "State", "facets": states},
        {"name": "Sign", "facets": [_sign(viewer, asked_for, each) for each in Sign]},
        {"name": "Instance", "facets": [_facet(asked_for, "instance", *each, None) for each in places]},
    ]
    if len(drivers) > 1 or asked_for["driver"]:
        kinds = [("", "any", total), *((name, name, number) for name, number in sorted(drivers.items()))]
        found.append({"name": "Driver", "facets": [_facet(asked_for, "driver", *each, None) for each in kinds]})
    workspaces = list(live.book.by_workspace().items()) if scope is None else []
    if len(workspaces) > 1 or (workspaces and asked_for["workspace"]):
        owners = [("", "any", total), *((str(each), f"workspace {each}", number) for each, number in workspaces)]
        shown = [_facet(asked_for, "workspace", *each, None) for each in owners[:SHOWN_MOST]]
        found.append({"name": "Workspace", "facets": shown})
    return found


def _sign(viewer: Viewer, asked_for: dict[str, str], sign: Sign) -> dict[str, Any]:
    """Asked for once more, it excludes nothing again."""
    number = len(viewer.live.finder.with_sign(viewer.scope, sign))
    shape = Shape(*_SIGN_SHAPES[sign], sign.value) if number else Shape("dash", "off", sign.value)
    shown = _facet(asked_for, "sign", sign.value, _SIGNS[sign], number, shape)
    return {**shown, "href": href(asked_for, {"sign": ""})} if shown["current"] else shown


def _facet(
    asked_for: dict[str, str], name: str, value: str, says: str, number: int, state: Shape | None
) -> dict[str, Any]:
    return {
        "href": href(asked_for, {name: value}),
        "words": says,
        "number": f"{number:,}",
        "state": state,
        "current": asked_for[name] == value,
    }
