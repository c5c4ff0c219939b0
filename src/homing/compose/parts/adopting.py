"""The parts that bring running fleets in, and that keep what is only observed from being touched."""

import asyncio

from homing.config import Settings
from homing.drivers import Drivers
from homing.drivers.around.sealed_keys import KeySeal
from homing.flows.background.alerts import AlertBook
from homing.flows.background.observing import Observing
from homing.flows.discovery.adopting import Adopting
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.phones import Identity
from homing.flows.failover.fitness import Fitness
from homing.flows.operations.adopt_fleet import FleetAdoption
from homing.flows.operations.exit_proxies import AccountsExitProxies, OpenedExitProxies
from homing.model.fleet import InstanceUrl
from homing.ports import Clock, Entropy
from homing.ports.sessions.exit_proxies import ExitProxies
from homing.routing.roster import LiveFleet
from homing.serve.gateway import Adoption
from homing.serve.metrics import Metrics
from homing.store.directory import naming
from homing.store.opened import Stores


def fleet_of(
    settings: Settings, stores: Stores, drivers: Drivers, clock: Clock
) -> tuple[LiveFleet, Observing, AlertBook, AccountsExitProxies]:
    """The instances; what is written down of those that are only observed; the alerts, which spare those; and by which
    proxies sessions go out, which the drivers ask from here on."""
    default_url = InstanceUrl(settings.whatsapp_nodejs_url) or None
    fleet = LiveFleet(stores.directory, drivers, clock, default_url=default_url, adoptions=stores.adoptions)
    observing = Observing(stores.watch_log, lambda: fleet.roster, clock)
    alerts = AlertBook(stores.alerts, clock, observing.spares)
    drivers.proxies.asked = exit_proxies = exit_proxies_of(settings, stores, alerts)
    return fleet, observing, alerts, exit_proxies


def adoption_of(
    settings: Settings,
    stores: Stores,
    fleet: LiveFleet,
    observing: Observing,
    fitness: Fitness,
    lists: Lists,
    identity: Identity,
    clock: Clock,
    entropy: Entropy,
    metrics: Metrics,
) -> Adoption:
    """What adopts sessions and whole gateways. Without a secret of ours it takes no key of theirs."""
    seal = key_seal(settings)
    sealing, directory = seal.seal if seal.can_seal else None, stores.directory
    gateways = (directory, stores.adoptions, fleet, clock, entropy, sealing, observing.watched)
    return Adoption(
        sessions=Adopting(directory, lists, identity, clock, metrics, naming.taken),
        gateways=FleetAdoption(*gateways, heard=fitness.listed, aside=asyncio.to_thread),
        observing=observing,
    )


def key_seal(settings: Settings) -> KeySeal:
    """What seals the keys of gateways that were adopted. Without any secret it seals none."""
    return KeySeal(sealing_secrets(settings))


def sealing_secrets(settings: Settings) -> list[bytes]:
    """The secrets that seal what is kept for others, the one that is used now first."""
    old = [each.strip().encode() for each in settings.homing_old_secrets.split(",") if each.strip()]
    every = [settings.own_key_secret, *old, settings.whatsapp_hmac_secret.encode()]
    return [each for each in dict.fromkeys(every) if each]


def exit_proxies_of(settings: Settings, stores: Stores, alerts: AlertBook) -> AccountsExitProxies:
    """What keeps and opens the proxies by which sessions go out. Without any secret it keeps none."""
    seal = _exits_seal(settings)
    sealing, sessions_max = seal.seal if seal.can_seal else None, settings.homing_exit_sessions
    return AccountsExitProxies(stores.exit_proxies, sealing, seal.opened, alerts, sessions_max=sessions_max)


def opened_exits(settings: Settings, kept: ExitProxies) -> OpenedExitProxies:
    """The same for an instance of ours, which is told of none that its secrets do not open."""
    return OpenedExitProxies(kept, _exits_seal(settings).opened)


def _exits_seal(settings: Settings) -> KeySeal:
    return KeySeal(sealing_secrets(settings), purpose=b"homing: exit proxies")
