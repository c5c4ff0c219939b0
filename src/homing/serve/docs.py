"""The page at /docs: the API's own description, drawn here, so that it needs no script and nobody else's server.

With scripts the same place holds Swagger UI, which comes with the package, and every operation can be tried.
"""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin

from homing.model.errors import Code, Problem
from homing.serve.callers.signing_in import COOKIE, csrf_token
from homing.serve.http.subpath import prefix_of
from homing.serve.page.files import static_path

Schema = Mapping[str, Any]

HEADERS: dict[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
}
"""Its pictures are within its style: `data:` lets no script in."""
_METHODS = ("get", "post", "put", "patch", "delete")


class DocsPage(OpenAPIRenderPlugin):
    """Renders the description as one page of HTML."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        root = prefix_of(request.scope)
        token = csrf_token(request.cookies.get(COOKIE, ""))
        return _page(openapi_schema, root, root + self.get_openapi_json_route(request), token).encode()


class DocsDocument(JsonRenderPlugin):
    """The description itself; its paths are below the address that the client sees."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, openapi_schema | {"servers": [{"url": prefix_of(request.scope) or "/"}]})


async def nothing_else(request: Request[Any, Any, Any]) -> None:
    """Raises Problem for an address below the page's: the framework would answer with a page of its own."""
    if request.path_params:
        raise Problem(Code.NOT_FOUND, "There is nothing at this address")


def _page(api: Schema, root: str, json_url: str, token: str) -> str:
    groups = _grouped(api)
    info = api["info"]
    title = f"{escape(info['title'])} <small>{escape(info['version'])}</small>"
    links = "".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in groups)
    body = "".join(_group(tag, operations, api) for tag, operations in groups.items())
    static = escape(root + static_path())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="root" content="{escape(root)}"><meta name="csrf-token" content="{escape(token)}">'
        f'<link rel="icon" href="{static}/mark.svg" type="image/svg+xml">'
        f'<link rel="stylesheet" href="{static}/swagger-ui.min.css"><link rel="stylesheet" href="{static}/docs.css">'
        f'<script src="{static}/swagger-ui-bundle.min.js" defer></script>'
        f'<script src="{static}/docs.js" type="module"></script></head><body><main>'
        f"<h1>{title}</h1>"
        f"<p>{escape(info.get('description', ''))} Errors are problem documents (RFC 9457) with a stable"
        f" <code>code</code>. Keys go into <code>Authorization: Bearer hk_…</code>; whoever is signed in to the"
        f' <a href="{escape(root)}/now">page</a> needs none here.'
        f' <a href="{escape(json_url)}">OpenAPI document</a></p>'
        f'<div id="reference" data-document="{escape(json_url)}"><nav>{links}</nav>{body}</div></main></body></html>'
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
