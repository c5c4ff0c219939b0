"""The stores of a database, open."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from homing.config import Settings
from homing.decide.access.audit import NO_KEYS, ChainKeys
from homing.ports import Clock
from homing.store.db.database import Database
from homing.store.db.migrating import migrate
from homing.store.db.opening import open_database
from homing.store.db.write_proof import SqlWriteProof
from homing.store.deliveries.stores import SqlDeliveries, SqlEndpoints
from homing.store.directory.adopting import SqlAdoptions
from homing.store.directory.directory import SqlDirectory
from homing.store.directory.exit_proxies import SqlExitProxies
from homing.store.directory.importing import SqlImports
from homing.store.grants.grants import SqlGrants
from homing.store.grants.leases import SqlLeases
from homing.store.notices.notices import StagedNotices
from homing.store.notices.opening import open_notices
from homing.store.opened import Stores
from homing.store.outbox.outbox import SqlOutbox
from homing.store.receivers.receivers import SqlReceivers
from homing.store.records.alerts import SqlAlerts
from homing.store.records.audit import SqlAudit
from homing.store.records.downtime import SqlDowntime
from homing.store.records.hearing import SqlHearings
from homing.store.records.logins import SqlLogins
from homing.store.records.number_checks import SqlNumberChecks
from homing.store.records.pairing_links import SqlPairingLinks
from homing.store.records.recycles import SqlRecycles
from homing.store.records.reports import SqlEvents
from homing.store.records.steering import SqlSteering
from homing.store.records.watch_log import SqlWatchLog
from homing.store.records.webhook_targets import SqlWebhookTargets
from homing.store.sends.messages import SqlMessages
from homing.store.work.queue import SqlWork
from homing.store.work.schedules import SqlSchedules
from homing.world import SystemClock


@asynccontextmanager
async def open_stores(
    settings: Settings, *, exclusive: bool = False, on_read: Callable[[], None] = lambda: None
) -> AsyncIterator[Stores]:
    """The stores of the settings' database, brought up to date first.

    Raises StoreMisconfigured and StoreUnavailable, each with one sentence.
    """
    url = settings.homing_database_url
    async with AsyncExitStack() as stack:
        database = open_database(url, exclusive=exclusive)
        stack.push_async_callback(database.close)
        await migrate(url)
        notices = await open_notices(
            database, url, settings.homing_redis_url or None, settings.homing_listen_url or None
        )
        stack.push_async_callback(notices.close)
        yield stores_on(database, notices, SystemClock(), on_read=on_read, audit_keys=settings.audit_keys)


def stores_on(
    database: Database,
    notices: StagedNotices,
    clock: Clock,
    *,
    on_read: Callable[[], None] = lambda: None,
    audit_keys: ChainKeys = NO_KEYS,
) -> Stores:
    """All stores on one open database."""
    directory = SqlDirectory(database, notices, clock, on_read=on_read)
    return Stores(
        database=database,
        notices=notices,
        directory=directory,
        messages=SqlMessages(database),
        outbox=SqlOutbox(database, notices, on_read=on_read),
        events=SqlEvents(database, notices),
        schedules=SqlSchedules(database),
        work=SqlWork(database, notices),
        leases=SqlLeases(database),
        grants=SqlGrants(database, notices),
        alerts=SqlAlerts(database, notices),
        audit=SqlAudit(database, audit_keys),
        proof=SqlWriteProof(database),
        restart_claims=directory,
        hearings=SqlHearings(database),
        pairing_links=SqlPairingLinks(database),
        logins=SqlLogins(database),
        endpoints=SqlEndpoints(database),
        deliveries=SqlDeliveries(database, notices),
        receivers=SqlReceivers(database),
        adoptions=SqlAdoptions(database, notices, clock),
        watch_log=SqlWatchLog(database),
        imports=SqlImports(database, notices, clock),
        downtime=SqlDowntime(database),
        webhook_targets=SqlWebhookTargets(database),
        exit_proxies=SqlExitProxies(database),
        recycles=SqlRecycles(database),
        steering=SqlSteering(database),
        checked_numbers=SqlNumberChecks(database, on_read=on_read),
    )
