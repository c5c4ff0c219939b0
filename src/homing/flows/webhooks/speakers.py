"""Finding out which instance speaks, and saying so once where that cannot be told."""

from collections.abc import Callable
from typing import assert_never

from homing.decide.reports import speakers
from homing.decide.reports.speakers import (
    AskTheLists,
    Impostor,
    Introduced,
    Speaker,
    Stranger,
    UnknownSpeakerCause,
    Unnamed,
)
from homing.flows.discovery.listings import RecentLists
from homing.flows.webhooks.unknown_senders import UnknownSenders
from homing.model.errors import Code, Problem
from homing.model.fleet import InstanceUrl, SessionId
from homing.ports import Clock, Directory, Fleet

BELIEVED_S = 10.0
"""A session that was heard from an instance speaks from there for this long."""
REMEMBERED_MAX = 10_000
ASK_AGAIN_S = 2


class Speakers:
    """Tells which instance speaks. What lists told of a session is remembered for a moment."""

    def __init__(
        self, fleet: Fleet, directory: Directory, lists: RecentLists, unknown: UnknownSenders, clock: Clock
    ) -> None:
        self._fleet, self._directory, self._lists, self._unknown = fleet, directory, lists, unknown
        self._clock = clock
        self._heard: dict[SessionId, tuple[float, InstanceUrl]] = {}

    async def speaker(self, told: Introduced) -> InstanceUrl | None:
        """The instance that reports; None if it names none, and nothing else tells.

        Raises Problem INSTANCE_UNKNOWN, UNAUTHENTICATED or, while a list that could tell cannot be read, INTAKE_BUSY.
        """
        introduced = self._introduced(told)
        match introduced:
            case Speaker(url=url):
                return self._told(told, url)
            case Unnamed():
                return None
            case AskTheLists(session_id=session_id):
                return await self._by_session(told, session_id)
            case Stranger(cause=cause, named=named):
                raise self._refused(cause, named)
            case Impostor():
                raise Problem(Code.UNAUTHENTICATED, "This is the key of another instance than the address names")
            case _:
                assert_never(introduced)

    def asking(self, told: Introduced, calls_from: str, missing: Callable[[str, str], None]) -> InstanceUrl | None:
        """The instance that asks for its sessions; None if it cannot be told from others, and `missing` hears why.

        Raises Problem for a path that names nobody, or another than the key's owner.
        """
        introduced = self._introduced(told)
        match introduced:
            case Speaker(url=url):
                return self._told(told, url)
            case (
                Unnamed()
                | AskTheLists()
                | Stranger(cause=UnknownSpeakerCause.LOOPBACK | UnknownSpeakerCause.UNKNOWN_HOST)
            ):
                named = told.named or calls_from
                cause = introduced.cause if isinstance(introduced, Stranger) else UnknownSpeakerCause.UNNAMED
                missing(named, self._unknown.met(named[: speakers.NAME_SHOWN], cause).do)
                return None
            case Stranger(cause=cause, named=named):
                raise self._refused(cause, named)
            case Impostor():
                raise Problem(Code.UNAUTHENTICATED, "This is the key of another instance than the address names")
            case _:
                assert_never(introduced)

    def _introduced(self, told: Introduced) -> speakers.Introduction:
        return speakers.introduced(self._fleet.roster.instances.values(), told)

    def _told(self, told: Introduced, url: InstanceUrl) -> InstanceUrl:
        if told.ref is None and told.named is not None:
            self._unknown.known(told.named[: speakers.NAME_SHOWN])
        return url

    def _refused(self, cause: UnknownSpeakerCause, named: str) -> Problem:
        sender = self._unknown.met(named, cause)
        return Problem(Code.INSTANCE_UNKNOWN, f"No instance is known as {named!r}; {sender.do}")

    # --- by the session that it speaks of -----------------------------------------------------------------------

    async def _by_session(self, told: Introduced, session_id: SessionId) -> InstanceUrl:
        heard = self._heard.get(session_id)
        if heard is not None and self._clock.monotonic() - heard[0] < BELIEVED_S:
            return heard[1]
        url = await self._listed(told, session_id)
        if len(self._heard) >= REMEMBERED_MAX:
            self._heard.clear()
        self._heard[session_id] = (self._clock.monotonic(), url)
        return url

    async def _listed(self, told: Introduced, session_id: SessionId) -> InstanceUrl:
        """Where it is placed is asked first, which nearly always settles it; then all, by lists newer than its word."""
        heard_s = self._clock.monotonic()
        placed_on = await self._placed_on(session_id)
        if placed_on is not None:
            listings = {placed_on: await self._lists.read(placed_on)}
            if speakers.by_lists(session_id, placed_on, listings) is not None:
                return placed_on
        url = speakers.by_lists(session_id, placed_on, await self._lists.read_all())
        if url is not None:
            return url
        listings = await self._lists.read_all(since_s=heard_s)
        url = speakers.by_lists(session_id, placed_on, listings)
        if url is not None:
            return url
        silent = [url for url, listing in listings.items() if speakers.may_speak(listing)]
        if silent:
            detail = f"Which instance speaks of {session_id} cannot be told while {silent[0]} gives no list"
            raise Problem(Code.INTAKE_BUSY, f"{detail}; send it again", retry_after_s=ASK_AGAIN_S)
        raise self._refused(UnknownSpeakerCause.LOOPBACK, (told.named or "")[: speakers.NAME_SHOWN])

    async def _placed_on(self, session_id: SessionId) -> InstanceUrl | None:
        found = await self._directory.accounts_of([session_id])
        url = found[0].placement.instance_url if found else None
        return url if url in self._fleet.roster.instances else None
