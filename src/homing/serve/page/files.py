"""The page's own files: styles, scripts and templates, as they are in the package. Nothing comes from elsewhere."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from homing.serve.page import words

_HERE = Path(__file__).parent
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is sent."""

    body: bytes
    media_type: str


@lru_cache(1)
def static_files() -> dict[str, StaticFile]:
    found = sorted((_HERE / "static").iterdir())
    return {path.name: StaticFile(path.read_bytes(), _TYPES[path.suffix]) for path in found if path.suffix in _TYPES}


@lru_cache(1)
def static_path() -> str:
    """Where they are: another place for each content, so that a browser may keep them for ever."""
    content = hashlib.sha256(b"".join(name.encode() + file.body for name, file in static_files().items()))
    return f"/static/{content.hexdigest()[:16]}"


@lru_cache(1)
def templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    environment.filters |= {
        "moment": words.moment,
        "words": words.spaced,
        "span": words.span,
        "short": words.short,
        "sentence": words.sentence,
        "commands": words.commands,
    }
    environment.globals["static"] = static_path()
    return environment
