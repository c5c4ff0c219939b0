"""What a send meets: who may ask, where it goes, what hears how it ends; and what is done with accounts."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from homing.compose.parts.finding import Finders
from homing.compose.parts.ground import Ground, subscribe
from homing.compose.parts.joining import all_hear
from homing.compose.parts.keeping import Keepers
from homing.compose.parts.media import MediaParts, media_of
from homing.decide.knowledge import qr_pictures
from homing.flows.background.downtime import DowntimeBook
from homing.flows.background.link_alerts import LinkAlerts
from homing.flows.discovery.incarnations import Looking
from homing.flows.discovery.listings import Lists
from homing.flows.failover.doubtful_sessions import Doubts
from homing.flows.failover.restore_queue import RestoreQueue
from homing.flows.operations.accounts import Accounts
from homing.flows.operations.pairing import Pairing
from homing.flows.operations.pairing_links import PairingLinks
from homing.flows.operations.start_turns import StartTurns
from homing.flows.sending.own_messages import Said
from homing.flows.sending.send import Sending
from homing.routing.cache import RouteCache
from homing.serve.callers.keyring import Keyring
from homing.serve.callers.rate_limits import RateLimits
from homing.serve.callers.workspaces import Workspaces
from homing.serve.feed import EventFeed, Shares


@dataclass(frozen=True, slots=True)
class Callers:
    """Who may ask, and how often."""

    keyring: Keyring
    rate_limits: RateLimits
    workspaces: Workspaces


def callers_of(on: Ground) -> Callers:
    keyring = Keyring(on.stores.directory, on.clock)
    workspaces = Workspaces(on.stores.directory, on.clock, on.settings.homing_default_region)
    return Callers(keyring, RateLimits(workspaces.rate_limit, on.clock), workspaces)


def feed_of(on: Ground, keyring: Keyring) -> EventFeed:
    """Streams whose key is not in force any more end at once."""
    feed = EventFeed(Shares(on.settings.homing_streams, on.settings.streams_of_a_key))
    keyring.on_change = feed.wake
    subscribe(on.stores, feed)
    on.metrics.watch_streams(lambda: feed.streams)
    return feed


def routes_of(on: Ground) -> RouteCache:
    return RouteCache(
        on.stores.directory,
        on.clock,
        ttl_s=on.settings.homing_cache_ttl,
        enabled=on.settings.whatsapp_enable_cache,
        on_hit=on.metrics.hit,
        on_miss=on.metrics.missed,
    )


def accounts_of(on: Ground, kept: Keepers, links: LinkAlerts) -> Accounts:
    directory, fleet = on.stores.directory, on.fleet
    queue = RestoreQueue(directory, Looking(fleet, kept.watching.refused_ago_s), on.settings.restoring_policy)
    hear = (kept.watching.unfit, on.fitness.met)
    turns = StartTurns(directory, fleet, on.clock)
    return Accounts(directory, fleet, on.entropy, on.metrics, *hear, links, queue, turns=turns)


class HearingSends(NamedTuple):
    """What hears how sends end."""

    doubts: Doubts
    downtime: DowntimeBook


def hearing_sends(on: Ground, lists: Lists, accounts: Accounts) -> HearingSends:
    stores, after = on.stores, on.settings.homing_doubtful_after
    claims = (stores.directory, stores.restart_claims)
    doubts = Doubts(*claims, lists, on.fleet, accounts, on.alerts, on.clock, after=after)
    return HearingSends(doubts, DowntimeBook(stores.downtime, on.clock))


@dataclass(frozen=True, slots=True)
class SendParts:
    """What sends, what of that is ours, and the files in it."""

    sending: Sending
    said: Said
    media: MediaParts


def send_parts(on: Ground, routes: RouteCache, found: Finders, kept: Keepers, heard: HearingSends) -> SendParts:
    said, media = Said(), media_of(on.settings, on.ways.customers, on.clock, on.entropy)
    sending = Sending(
        routes,
        on.fleet,
        found.rediscovery,
        on.clock,
        on.settings.send_policy,
        said,
        kept.news,
        all_hear(kept.watching.saw, on.fitness.met),
        kept.rehoming.obstacle,
        heard.doubts,
        heard.downtime.sent,
        media.links,
        on.stores.checked_numbers,
    )
    return SendParts(sending, said, media)


def pairing_of(on: Ground) -> Pairing:
    """Pictures are read beside the loop: they come from outside, and take a while."""
    read_picture = partial(asyncio.to_thread, qr_pictures.text_in)
    return Pairing(on.stores.directory, on.fleet, on.stores.events, on.clock, read_picture)


def pairing_links_of(on: Ground, pairing: Pairing) -> PairingLinks:
    stores, secret = on.stores, on.settings.message_id_secret
    return PairingLinks(stores.pairing_links, stores.directory, pairing, on.entropy, secret)
