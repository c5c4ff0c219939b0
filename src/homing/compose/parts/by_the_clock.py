"""What is taken in from instances, and what runs by itself: on schedules, and to clean up."""

import asyncio
from dataclasses import dataclass

from homing.compose.parts.finding import Finders
from homing.compose.parts.ground import Ground, subscribe
from homing.compose.parts.hearing import HearingParts, hearing_of
from homing.compose.parts.keeping import Keepers
from homing.config import Settings
from homing.decide.reports.polling import PollPolicy
from homing.flows.background.auditing import EVERY_MINUTE, Auditing
from homing.flows.background.retention import Housekeeping
from homing.flows.background.schedules import Schedule, Scheduler
from homing.flows.discovery.sync import Sync
from homing.flows.failover.doubtful_sessions import Doubts
from homing.flows.hearing.pairing_reminders import PairingReminders
from homing.flows.media.inbound import InboundFiles
from homing.flows.operations.accounts import Accounts
from homing.flows.sending.own_messages import Said
from homing.flows.webhooks.catch_up import Overlooked
from homing.flows.webhooks.hints import Hints
from homing.flows.webhooks.intake import Intake
from homing.flows.webhooks.polling import EVERY_15_S, Polling
from homing.model.work import Tick
from homing.serve.gateway import Moving
from homing.serve.metrics import Metrics
from homing.store.vault.settling import SqlReservations


@dataclass(frozen=True, slots=True)
class ReportParts:
    """What takes reports in, and what follows those that others took in and did not live to follow."""

    intake: Intake
    overlooked: Overlooked


def report_parts(on: Ground, hints: Hints, said: Said, files: InboundFiles) -> ReportParts:
    stores, keep_days = on.stores, on.settings.homing_event_days
    told = (stores.events, hints, said, on.clock, on.entropy)
    intake = Intake(*told, keep_days=keep_days, aside=asyncio.to_thread, files=files.kept)
    overlooked = Overlooked(stores.events, hints, on.clock)
    subscribe(stores, overlooked)
    return ReportParts(intake, overlooked)


def hearing_on(
    on: Ground, found: Finders, kept: Keepers, accounts: Accounts, intake: Intake, doubts: Doubts, moving: Moving
) -> HearingParts:
    """What judges whether sessions hear."""
    told = (intake, doubts, moving.connecting, moving.recycling)
    known = (on.fleet, found.lists, accounts, kept, on.observing, on.alerts)
    return hearing_of(on.settings, on.stores, *known, on.clock, on.entropy, *told)


def scheduler_of(on: Ground, found: Finders, auditing: Auditing, moving: Moving, hears: HearingParts) -> Scheduler:
    schedules = (
        _sync_schedule(on.settings, found.sync, on.metrics),
        Schedule("audit-log", EVERY_MINUTE, auditing.tick),
        hears.schedule,
        Schedule("webhooks", EVERY_MINUTE, moving.connecting.tick),
        Schedule("exit-proxies", EVERY_MINUTE, on.exit_proxies.tick),
        Schedule("pairing-reminders", EVERY_MINUTE, _reminders(on).tick),
        Schedule("recycling", EVERY_15_S, moving.recycling.tick),
        Schedule("old-instances", on.settings.homing_recycle_schedule, moving.recycling.scheduled),
        Schedule("polling", EVERY_15_S, _polling(on, found).tick),
    )
    return Scheduler(on.stores.schedules, on.clock, schedules, owner=on.entropy.uuid())


def _reminders(on: Ground) -> PairingReminders:
    after_s = on.settings.homing_pairing_remind_after
    return PairingReminders(on.stores.directory, on.stores.outbox, on.alerts, on.clock, after_s=after_s)


def _polling(on: Ground, found: Finders) -> Polling:
    policy, stores = PollPolicy(share=on.settings.homing_poll_share), on.stores
    known = (on.fleet, stores.directory, found.lists, found.hints)
    return Polling(*known, stores.webhook_targets, on.clock, policy)


def _sync_schedule(settings: Settings, sync: Sync, metrics: Metrics) -> Schedule:
    async def check_all(_: Tick) -> str:
        try:
            report = await sync.run()
        except Exception:
            metrics.synced("failed")
            raise
        metrics.synced("attention" if report.needs_attention else "well")
        return report.summary

    return Schedule("sync-instance-urls", settings.homing_sync_schedule, check_all)


def housekeeping_of(on: Ground) -> Housekeeping:
    settings, stores = on.settings, on.stores
    return Housekeeping(
        stores.work,
        stores.leases,
        SqlReservations(stores.database),
        stores.outbox,
        on.clock,
        keys_kept_s=settings.homing_idempotency_hours * 3600,
        messages_kept_s=settings.homing_message_days * 86_400,
        sent_kept_s=settings.homing_retry_hours * 3600,
    )
