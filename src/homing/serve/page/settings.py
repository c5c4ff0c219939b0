"""Keys, what runs by itself, and what this gateway is."""

from typing import Any

import homing
from homing.ports import StoreUnavailable
from homing.serve.api.fleet.schedules import schedule_view
from homing.serve.page.viewer import Viewer


async def context(viewer: Viewer) -> dict[str, Any]:
    gateway, settings = viewer.gateway, viewer.gateway.settings
    facts = [
        ("Homing", homing.__version__),
        ("Database", {"postgresql": "PostgreSQL"}.get(gateway.stores.database.dialect, "SQLite")),
        ("Listens on", f"{settings.homing_host}:{settings.homing_port}"),
        ("Notices over", "Redis" if settings.homing_redis_url else "the database"),
        ("A send is tried", f"{settings.homing_send_deadline:g} s"),
        ("Routes are cached", f"{settings.homing_cache_ttl:g} s" if settings.whatsapp_enable_cache else "not"),
        ("A lease runs", f"{settings.homing_lease_expiry:g} s"),
        ("Automation", "on" if settings.homing_auto_rehome else "off"),
        ("Streams open", f"{gateway.feed.streams} of {settings.homing_streams}"),
    ]
    try:
        keys = await gateway.stores.directory.keys() if viewer.may_operate else []
        schedules = await gateway.stores.schedules.schedules() if viewer.is_operator else []
    except StoreUnavailable:
        keys, schedules = [], []
    return {
        "facts": facts if viewer.is_operator else facts[:1],
        "keys": [key for key in keys if viewer.scope in (None, key.workspace_id)],
        "schedules": [schedule_view(record, viewer.now) for record in schedules],
    }
