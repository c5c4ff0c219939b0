"""The file that tells other programs of a demo that is up. It is there exactly as long as the demo is ready."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from homing.demo.plan import Unworkable
from homing.model.fleet import InstanceUrl

if TYPE_CHECKING:
    from homing.demo.opening import Demo

DASHBOARD_PATH = "/"


class StateFile:
    """The file at a path, or none where no path was given."""

    def __init__(self, path: Path | None) -> None:
        self._path = None if path is None else path.absolute()

    def __enter__(self) -> Self:
        """An earlier demo's file goes first, so that nobody takes it for this one's."""
        try:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            self._remove()
        except OSError as error:
            raise Unworkable(f"The state file {self._path} cannot be written: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def write(self, demo: "Demo") -> None:
        """Write it whole: readers see all of it or nothing."""
        if self._path is None:
            return
        unfinished = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(state(demo), indent=2) + "\n")
        unfinished.replace(self._path)

    def _remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def state(demo: "Demo") -> dict[str, Any]:
    """What other programs are told."""
    url = demo.gateway.url
    told: dict[str, Any] = {
        "api_url": url,
        "dashboard_url": url + DASHBOARD_PATH,
        "token": demo.population.token,
        "database": demo.database_url,
        "ledger": str(demo.folder.ledger),
        "hmac_secret": demo.secrets.hmac_secret,
        "instance_api_key": demo.secrets.instance_api_key,
        "whatsapp": {"pid": demo.whatsapp.pid, "address": demo.whatsapp_address},
        "gateway": {"pid": demo.gateways[url].pid},
        "instances": [
            {"url": address, "pid": child.pid, "driver": demo.plan.family(InstanceUrl(address))}
            for address, child in demo.instances.items()
        ],
        "accounts": [
            {
                "id": resident.id,
                "uuid": resident.uuid,
                "phone": resident.phone,
                "session_id": resident.session_id,
                "workspace_id": resident.workspace_id,
                "instance_url": resident.instance_url,
            }
            for resident in demo.population.residents
        ],
        "contacts": [{"uuid": contact.uuid, "phone": contact.phone} for contact in demo.population.contacts],
    }
    if len(demo.gateways) > 1:
        told["gateways"] = [{"url": address, "pid": child.pid} for address, child in demo.gateways.items()]
    return told
