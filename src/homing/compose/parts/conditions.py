"""The parts that look for conditions which operators should hear of."""

import os
import socket

from homing.compose.parts.restoring import Restorers
from homing.config import Settings
from homing.flows.alerts.conditions import ConditionPolicy, ConditionWatch
from homing.flows.background.alerts import AlertBook
from homing.ports import Clock, Fleet
from homing.store.opened import Stores
from homing.store.records.standing_facts import SqlFacts, SqlVaultKeys
from homing.store.vault.opening import key_ring


def conditions_of(
    settings: Settings, stores: Stores, fleet: Fleet, kept: Restorers, alerts: AlertBook, clock: Clock
) -> ConditionWatch:
    """A gateway without a vault's key has none to hold against what is in the vault."""
    vault_key, old_keys = settings.homing_vault_key, settings.homing_vault_old_keys
    ring = key_ring(vault_key, old_keys) if vault_key else None
    policy = ConditionPolicy(
        gateway_name(settings),
        settings.homing_sync_schedule,
        settings.homing_capacity_hours,
        clocks_apart=stores.database.dialect != "sqlite",
    )
    return ConditionWatch(
        kept.watching,
        lambda: fleet.roster.instances,
        stores.directory,
        stores.schedules,
        SqlFacts(stores.database),
        SqlVaultKeys(stores.database, ring),
        alerts,
        clock,
        policy,
    )


def gateway_name(settings: Settings) -> str:
    """What this process is called in alerts; workers on one port are told apart."""
    worker = f"#{os.getpid()}" if settings.homing_workers > 1 else ""
    return f"{socket.gethostname()}:{settings.homing_port}{worker}"
