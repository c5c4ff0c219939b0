"""Where gateways of other families are told to report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homing.model.sessions.exit_proxies import ExitProxy


@dataclass(frozen=True, slots=True)
class WebhookWanted:
    """Where the sessions of an instance are to report: an address that holds `secret`, which also signs."""

    url: str
    secret: str = field(repr=False)
    proxy: ExitProxy | None = field(default=None, repr=False)
    """By which the session goes out, where it is started anew to be told."""


@dataclass(frozen=True, slots=True)
class WebhookFound:
    """Where one session reports now. `ours`: to us, rightly. `others` are the further addresses, without secrets.

    `kept` is what the family needs to put it back: never shown, since it may hold secrets of others.
    """

    ours: bool
    others: tuple[str, ...] = ()
    kept: Mapping[str, Any] | None = field(default=None, repr=False)
