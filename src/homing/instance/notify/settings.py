"""Whom an instance tells what happens, and how: options first, then the environment, by the names known there."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from homing.instance.notify.retries import NotifyRetryPolicy


class InstanceMisconfigured(Exception):
    """An instance cannot start with these settings. The message is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The gateway at ``url``, and the secret that notifications are signed with.

    ``journal`` None means: a file for this instance's address in ``journal_folder``. ``restore``: ask at boot which
    sessions are placed here.
    """

    url: str
    hmac_secret: str = field(repr=False)
    journal: Path | None = None
    journal_folder: Path = Path("journals")
    restore: bool = False
    retries: NotifyRetryPolicy = field(default_factory=NotifyRetryPolicy)

    def journal_path(self, instance_url: str) -> Path:
        if self.journal is not None:
            return self.journal
        return self.journal_folder.absolute() / f"{_file_name(instance_url)}.jsonl"


def gateway_settings(
    environment: Mapping[str, str],
    *,
    url: str | None = None,
    hmac_secret: str | None = None,
    journal: Path | None = None,
    journal_folder: Path = Path("journals"),
    restore: bool = False,
) -> GatewaySettings | None:
    """The settings, or None without a gateway: then nobody is told anything. Raises ``InstanceMisconfigured``."""
    url = url or environment.get("HOMING_URL") or environment.get("LARAVEL_URL")
    secret = hmac_secret or environment.get("HMAC_SECRET") or environment.get("WHATSAPP_HMAC_SECRET")
    if not url:
        if restore or journal:
            raise InstanceMisconfigured("There is no gateway to speak to: give --gateway or set HOMING_URL.")
        return None
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise InstanceMisconfigured(f"The gateway's address {url!r} is none: it looks like http://localhost:8000.")
    if not secret:
        raise InstanceMisconfigured(
            "What is told to the gateway must be signed: give --hmac-secret or set HMAC_SECRET."
        )
    retries = NotifyRetryPolicy(
        retries_max=_whole(environment, "WEBHOOK_MAX_RETRIES", 3, 0, 100),
        timeout_s=_whole(environment, "WEBHOOK_TIMEOUT", 10_000, 1, 600_000) / 1000,
    )
    return GatewaySettings(url, secret, journal, journal_folder, restore, retries)


def _whole(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    given = environment.get(name, "").strip()
    if not given:
        return default
    if not (given.isascii() and given.isdecimal() and len(given) < 10 and least <= int(given) <= most):
        raise InstanceMisconfigured(f"{name} is {given!r}; it must be a whole number from {least} to {most}.")
    return int(given)


def _file_name(instance_url: str) -> str:
    """A readable name of its own for each address."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", instance_url.partition("://")[2])[:80].strip("-.")
    return f"{readable}-{hashlib.sha256(instance_url.encode()).hexdigest()[:8]}"
