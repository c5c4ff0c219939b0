"""What the OpenAPI document says beside what the framework reads off the endpoints: all that really comes.

The framework knows each endpoint's parameters and what it answers when all is well. Refusals come from many places (the
connection's limits, the keyring, the limits of a key, the directory) and are the same wherever they can come, so they
are written in here, by what an operation takes; what only some answer, they say themselves (`also`). Bodies and views
are described by the library that reads and writes them, which knows their limits.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import OpenAPI
from litestar.routes import HTTPRoute

from homing.serve.http import problems

Document = dict[str, Any]
Operation = dict[str, Any]

_REF = "#/components/schemas/{name}"
_NAMES_SOMETHING = frozenset({"workspace_id", "account", "account_uuid", "contact_uuid", "session_id", "instance_url"})
"""Parameters and fields that name what may not be there."""

_MEANS = {
    400: "The request, or its body, cannot be read",
    401: "No key is shown, or none that is known",
    403: "The key may not do this",
    404: "What is named is not there, or not for this key",
    405: "This address does not take that method",
    408: "The request did not come whole in time",
    409: "It cannot be done as things stand",
    413: "The body is larger than is taken",
    422: "The request can be read, and something in it is not as it should be",
    429: "Too much, or too soon; ask again later",
    431: "The request's head is larger than is taken",
    503: "It cannot be done for the moment, and nothing was done; ask again later",
}
_HEADERS: Mapping[int, Mapping[str, tuple[str, str]]] = {
    401: {"WWW-Authenticate": ("How to say who asks", "string")},
    405: {"Allow": ("The methods that it takes", "string")},
    429: {"Retry-After": ("In seconds", "integer")},
    503: {"Retry-After": ("In seconds", "integer")},
}


@dataclass(frozen=True, slots=True)
class _Also:
    statuses: tuple[int, ...] = ()
    shows: Mapping[int, Any] = field(default_factory=dict)
    streams: str | None = None
    takes: Any = None


_OPTION = "answers"


def also(
    *statuses: int,
    shows: Mapping[int, Any] | None = None,
    streams: str | None = None,
    takes: Any = None,
) -> dict[str, Any]:
    """What an endpoint answers beside what they all do, for its `opt`.

    `shows` are the types of answers that it writes by itself, `streams` the media type of what it answers for as long
    as somebody listens, and `takes` the type of a body that it reads by itself; `… | None` may be left out.
    """
    return {_OPTION: _Also(statuses, shows or {}, streams, takes)}


class Described(OpenAPIConfig):
    """The framework's configuration. Its document is completed when it is first asked for, from the `app` set here."""

    app: Litestar

    def to_openapi_schema(self) -> OpenAPI:
        plain = super().to_openapi_schema()
        document = _Completed(**{each.name: getattr(plain, each.name) for each in fields(plain)})
        document.app = self.app
        return document


class _Completed(OpenAPI):
    app: Litestar

    def to_schema(self) -> Document:
        return completed(self.app, super().to_schema())


def completed(app: Litestar, document: Document) -> Document:
    """The document with all that the framework does not know."""
    types = _Types(document)
    for path, method, handler in _endpoints(app):
        operation = document["paths"].get(path, {}).get(method.lower())
        if operation is not None:
            _complete(operation, path, handler, types)
    own = document["components"]["schemas"] | types.described()
    named = _named_in([document["paths"], types.described()])
    document["components"]["schemas"] = {name: schema for name, schema in own.items() if name in named}
    return document


def _named_in(parts: Any) -> set[str]:
    """The schemas that something refers to."""
    return set(re.findall(r'"#/components/schemas/([^"]+)"', msgspec.json.encode(parts).decode()))


def _endpoints(app: Litestar) -> Iterable[tuple[str, str, Any]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                yield route.path_format, method, handler


def _complete(operation: Operation, path: str, handler: Any, types: "_Types") -> None:
    told: _Also = handler.opt.get(_OPTION, _Also())
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _never_null(parameter["schema"])
    _describe_body(operation, handler, told.takes, types)
    answers = operation["responses"]
    answers.pop("400", None)
    returned = handler.parsed_fn_signature.return_type.annotation
    plain = get_origin(returned) or returned
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        answers[str(handler.status_code)]["content"] = _json(types.schema(returned))
    for status, shown in told.shows.items():
        known = answers.setdefault(str(status), {"description": _MEANS.get(status, "Done")})
        known["content"] = _json(types.schema(shown))
    if told.streams is not None:
        beside = answers[str(handler.status_code)]["content"] if told.shows else {}
        answers[str(handler.status_code)]["content"] = {**beside, told.streams: {"schema": {"type": "string"}}}
    for status in sorted({*_refusals(operation, path, types), *told.statuses}):
        _add_refusal(answers, status, secured="security" in operation)


def _describe_body(operation: Operation, handler: Any, takes: Any, types: "_Types") -> None:
    data = handler.parsed_data_field
    wanted = takes if takes is not None else data.annotation if data is not None else None
    if wanted is not None:
        required = type(None) not in get_args(wanted)
        operation["requestBody"] = {"required": required, "content": _json(types.schema(wanted))}


def _refusals(operation: Operation, path: str, types: "_Types") -> Iterable[int]:
    """What may come of any operation like this one."""
    yield from (400, 405, 408, 422, 431, 503)
    if "security" in operation:
        yield from (401, 403, 429)
    if "requestBody" in operation:
        yield 413
    named = {parameter["name"] for parameter in operation.get("parameters", ())} | types.fields_of(operation)
    if "{" in path or named & _NAMES_SOMETHING:
        yield 404


def _add_refusal(answers: dict[str, Any], status: int, *, secured: bool) -> None:
    known = answers.setdefault(str(status), {"description": _MEANS[status]})
    problem = {"schema": {"$ref": _REF.format(name=f"Problem{status}")}}
    known["content"] = known.get("content", {}) | {problems.PROBLEM_JSON: problem}
    headers = _HEADERS.get(status, {}) if secured or status != 401 else {}
    if headers:
        known["headers"] = {
            name: {"description": means, "required": True, "schema": {"type": kind}}
            for name, (means, kind) in headers.items()
        }


def _json(schema: Any) -> dict[str, Any]:
    return {problems.JSON: {"schema": schema}}


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not there is not there: none is spelt `null`."""
    others = [each for each in schema.get("oneOf", ()) if each != {"type": "null"}]
    if len(others) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name != "oneOf"}
    return others[0] | rest if "$ref" not in others[0] or not rest else {"allOf": others, **rest}


class _Types:
    """The types that operations take and show, described all at once at the end, so that each has one schema."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._wanted: list[Any] = []

    def schema(self, wanted: Any) -> dict[str, Any]:
        self._wanted.append(wanted)
        [schema], _ = msgspec.json.schema_components([wanted], ref_template=_REF)
        return schema

    def fields_of(self, operation: Operation) -> set[str]:
        """The names of the fields of an operation's body."""
        body = operation.get("requestBody", {}).get("content", {}).get(problems.JSON, {}).get("schema", {})
        names = [each.get("$ref", "").rpartition("/")[2] for each in (body, *body.get("anyOf", ()))]
        described = self.described()
        return {field for name in names if name in described for field in described[name].get("properties", ())}

    def described(self) -> dict[str, Any]:
        _, schemas = msgspec.json.schema_components(self._wanted, ref_template=_REF)
        return schemas | {f"Problem{status}": _problem(status) for status in _MEANS}


def _problem(status: int) -> dict[str, Any]:
    """The documents of one status: the codes are what programs go by."""
    texts = {name: {"type": "string"} for name in ("type", "title", "detail", "field")}
    codes = sorted(code.value for code, known in problems.STATUS.items() if known == status)
    return {
        "title": f"Problem{status}",
        "description": "A problem document (RFC 9457). `field` names what of the request is wrong, if one thing is.",
        "type": "object",
        "properties": {**texts, "status": {"const": status}, "code": {"enum": codes}},
        "required": ["type", "title", "status", "code", "detail"],
    }
