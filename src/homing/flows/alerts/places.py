"""Where the subjects of alerts are, as far as that is known when they are told of."""

from collections.abc import Callable, Collection, Mapping

from homing.decide.alerts.places import place_of
from homing.model.alerts import About, Subject
from homing.model.deliveries.receivers import AlertPlace, ToldAlert
from homing.model.fleet import InstanceUrl, SessionId
from homing.ports import Directory, Fleet, InstanceHealth


class AlertPlaces:
    """`AlertPlaces(…).of` reads the record once for all alerts that are told together."""

    def __init__(
        self, directory: Directory, fleet: Fleet, health_of: Callable[[InstanceUrl], InstanceHealth | None]
    ) -> None:
        self._directory, self._fleet, self._health_of = directory, fleet, health_of

    async def of(self, told: Collection[ToldAlert]) -> Mapping[Subject, AlertPlace]:
        """Of what is nowhere, nothing. Raises StoreUnavailable."""
        subjects = {each.alert.subject for each in told}
        urls = {each: InstanceUrl(each.name) for each in subjects if each.about is About.INSTANCE}
        sessions = [SessionId(each.name) for each in subjects if each.about is About.SESSION]
        for account in await self._directory.accounts_of(sessions) if sessions else ():
            if account.placement.instance_url is not None:
                urls[Subject.session(account.session_id)] = account.placement.instance_url
        return {subject: self._place(url) for subject, url in urls.items()}

    def _place(self, url: InstanceUrl) -> AlertPlace:
        health = self._health_of(url)
        told = (health.engine, health.version) if health is not None else ()
        return place_of(url, self._fleet.roster.instances.get(url), " ".join(each for each in told if each))
