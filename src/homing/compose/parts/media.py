"""What takes files in, names them, gives them out and deletes them."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from homing.config import Settings
from homing.decide.media.limits import limits_of
from homing.flows.media.clean_up import MediaCleanUp
from homing.flows.media.inbound import InboundFiles, InboundPolicy
from homing.flows.media.intake import IntakePolicy, MediaIntake
from homing.flows.media.outgoing import MediaLinks
from homing.ports import Clock, Entropy, Events, Fleet, Routes
from homing.ports.deliveries.egress import Egress
from homing.store.media.objects import ObjectMedia


@dataclass(frozen=True, slots=True)
class MediaParts:
    """The way in and the way out, and what makes room again."""

    intake: MediaIntake
    clean_up: MediaCleanUp

    @property
    def links(self) -> MediaLinks:
        return self.intake.links


def inbound_of(
    settings: Settings, media: MediaParts, events: Events, routes: Routes, fleet: Fleet, clock: Clock
) -> InboundFiles:
    """Files that came with messages; links are signed as all others are."""
    policy = InboundPolicy(
        settings.homing_inbound_link_time,
        settings.homing_media_fetch_timeout,
        media.intake.policy.limits.largest,
        media.intake.policy.keep,
    )
    links = media.links
    known = (links.store, events, routes, fleet, clock, links.secret)
    return InboundFiles(*known, settings.our_url, policy, asyncio.to_thread)


def media_of(settings: Settings, egress: Egress, clock: Clock, entropy: Entropy) -> MediaParts:
    """Links are signed with our secret; where none is set, with one that is gone with this process."""
    store = ObjectMedia(settings.media_url, settings.media_folder.with_name(f"{settings.media_folder.name}-incoming"))
    secret = settings.own_key_secret or entropy.token(32)
    policy = IntakePolicy(
        limits_of(settings.homing_media_limits),
        timedelta(days=settings.homing_media_days),
        settings.homing_media_fetch_timeout,
    )
    links = MediaLinks(store, clock, secret, settings.our_url, link_s=settings.homing_media_link_time)
    return MediaParts(MediaIntake(links, egress, clock, entropy, policy), MediaCleanUp(store, clock))
