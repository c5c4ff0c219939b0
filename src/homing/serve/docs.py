"""The page at /docs: the API's own description, rendered here, so that it needs no script and nobody else's server."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin

from homing.model.errors import Code, Problem
from homing.serve.http.subpath import prefix_of

Schema = Mapping[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #0a7d5a }
body { font: 16px/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 6rem }
h1 { margin: 0 } h1 small { font-size: .9rem; font-weight: 400; opacity: .7 }
h2 { margin-top: 2.5rem; text-transform: capitalize }
nav a { margin-right: 1rem; color: var(--accent); text-transform: capitalize }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .4rem 0; padding: 0 .9rem }
details[open] { padding-bottom: .8rem }
summary { cursor: pointer; padding: .55rem 0; display: flex; gap: .8rem; flex-wrap: wrap; align-items: baseline }
summary b { font: 600 .8rem ui-monospace, monospace; width: 4.2rem; color: var(--accent) }
summary code { font-weight: 600 } summary span { opacity: .75 }
table { border-collapse: collapse; width: 100%; font-size: .92rem } th { text-align: left; font-weight: 600 }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; vertical-align: top }
pre { background: var(--soft); border-radius: .4rem; overflow-x: auto; padding: .7rem .9rem; font-size: .85rem }
"""
_METHODS = ("get", "post", "put", "patch", "delete")


class DocsPage(OpenAPIRenderPlugin):
    """Renders the description as one page of HTML."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return _page(openapi_schema, prefix_of(request.scope) + self.get_openapi_json_route(request)).encode()


class DocsDocument(JsonRenderPlugin):
    """The description itself; its paths are below the address that the client sees."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, openapi_schema | {"servers": [{"url": prefix_of(request.scope) or "/"}]})


async def nothing_else(request: Request[Any, Any, Any]) -> None:
    """Raises Problem for an address below the page's: the framework would answer with a page of its own."""
    if request.path_params:
        raise Problem(Code.NOT_FOUND, "There is nothing at this address")


def _page(api: Schema, json_url: str) -> str:
    groups = _grouped(api)
    info = api["info"]
    title = f"{escape(info['title'])} <small>{escape(info['version'])}</small>"
    links = "".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in groups)
    body = "".join(_group(tag, operations, api) for tag, operations in groups.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><h1>{title}</h1>'
        f"<p>{escape(info.get('description', ''))} Errors are problem documents (RFC 9457) with a stable"
        f" <code>code</code>. Keys go into <code>Authorization: Bearer hk_…</code>."
        f' <a href="{escape(json_url)}">OpenAPI document</a></p>'
        f"<nav>{links}</nav>{body}</html>"
    )


def _grouped(api: Schema) -> dict[str, list[tuple[str, str, Schema]]]:
    groups: dict[str, list[tuple[str, str, Schema]]] = {}
    for path, item in api["paths"].items():
        for method in _METHODS:
            if method in item:
                tag = (item[method].get("tags") or ["other"])[0]
                groups.setdefault(tag, []).append((method, path, item[method]))
    return groups


def _group(tag: str, operations: Iterable[tuple[str, str, Schema]], api: Schema) -> str:
    shown = "".join(_operation(method, path, operation, api) for method, path, operation in operations)
    return f'<h2 id="{escape(tag)}">{escape(tag)}</h2>{shown}'


def _operation(method: str, path: str, operation: Schema, api: Schema) -> str:
    told = f"<p>{escape(operation['description'])}</p>" if operation.get("description") else ""
    return (
        f"<details><summary><b>{method.upper()}</b><code>{escape(path)}</code>"
        f"<span>{escape(operation.get('summary', ''))}</span></summary>{told}"
        f"{_parameters(operation.get('parameters', []))}{_body(operation.get('requestBody'), api)}</details>"
    )


def _parameters(parameters: Iterable[Schema]) -> str:
    rows = "".join(map(_parameter, parameters))
    return f"<table><tr><th>parameter<th>in<th><th>means</tr>{rows}</table>" if rows else ""


def _parameter(each: Schema) -> str:
    needed = "required" if each.get("required") else "optional"
    cells = (f"<code>{escape(each['name'])}</code>", escape(each["in"]), needed, escape(each.get("description") or ""))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _body(body: Schema | None, api: Schema) -> str:
    if body is None:
        return ""
    schema = next(iter(body["content"].values()))["schema"]
    resolved = _resolved(schema, api)
    told = f"<p>{escape(resolved['description'])}</p>" if resolved.get("description") else ""
    shown = json.dumps({key: resolved[key] for key in ("required", "properties") if key in resolved}, indent=2)
    return f"<h4>Body</h4>{told}<pre>{escape(shown)}</pre>"


def _resolved(schema: Schema, api: Schema) -> Schema:
    """The schema itself, where it is named in the components."""
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Schema = api["components"]["schemas"][name] if name else schema
    return found
