"""`homing accounts pair`: a phone is linked from the terminal, one code after the other until it is."""

import time
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from homing.cli.sources.client import ApiClient, path
from homing.cli.sources.source import gateway
from homing.cli.terminal import pairing
from homing.cli.terminal.options import AccountRef, AsJson
from homing.cli.terminal.output import Row, note, print_facts, print_json
from homing.cli.terminal.stops import NeedsAttention, RequestRefused
from homing.cli.terminal.waiting import Timeout

LOOK_EVERY_S = 2.0
_WAITS = {"no_pairing_code", "pairing_renewed_lately", "session_not_ready", "instance_fault"}
"""What passes while a session comes up, or between two codes."""
_TO_BE_STARTED = {"stopped", "logged_out", "failed"}


def pair(
    account: AccountRef,
    /,
    *,
    typed: Annotated[
        bool, Parameter(negative="", help="Show a code to type into the account's own phone, and none to scan.")
    ] = False,
    timeout: Timeout = 300.0,
    as_json: AsJson = False,
) -> None:
    """Link the account's phone: start its session if need be, draw each code as it comes, and wait until it is linked.

    On the phone: WhatsApp, Linked devices, Link a device. With `--typed` there: Link with phone number instead.

    Example: `homing accounts pair 142`

    Exit codes: 0 the phone is linked; 1 it is not (yet), and why.
    """
    asked = gateway("Pairing")
    shown: Row = asked.get(path("accounts", account))
    linking = _Linking(asked, account, typed, as_json)
    if shown["status"] != "connected":
        if shown["instance_url"] is None or shown["status"] in _TO_BE_STARTED:
            asked.post(path("accounts", account, "start"), slow=True)
        shown = linking.until_linked(time.monotonic() + timeout)
    linked = {"account_id": shown["id"], "phone": shown["phone"], "status": shown["status"]}
    linked["instance_url"] = shown["instance_url"]
    if as_json:
        print_json(linked)
    else:
        print_facts(linked)


@dataclass(slots=True)
class _Linking:
    """What was shown until now to whoever holds the phone."""

    asked: ApiClient
    account: str
    typed: bool
    quiet: bool
    code: str | None = None
    trouble: str | None = None

    def until_linked(self, deadline_s: float) -> Row:
        """The account, once its phone is linked. Raises NeedsAttention."""
        while True:
            found = self.asked.get(path("accounts", self.account))
            if found["status"] == "connected":
                return found
            if found["status"] == "failed":
                raise NeedsAttention(f"The phone cannot be linked: {found.get('error') or 'its session failed'}")
            self._tell_of(found.get("error"))
            if time.monotonic() > deadline_s:
                raise NeedsAttention(f"Nobody linked the phone in time; the session is {found['status']} and goes on")
            if found["status"] == "pairing":
                self._show_newest()
            time.sleep(LOOK_EVERY_S)

    def _show_newest(self) -> None:
        where = path("accounts", self.account, "qr")
        try:
            code = self.asked.get(where)
            if self.typed and (code["qr"] is not None or code["expired"]):
                code = self.asked.post(where, {"typed": True}, slow=True)
        except RequestRefused as refused:
            if refused.document.get("code") not in _WAITS | {"nothing_to_pair"}:
                raise
            return
        newest = _typed(code) if self.typed else code["qr"] or code["picture"]
        if newest is None or newest == self.code or code["expired"]:
            return
        self.code = newest
        if self.quiet:
            note(f"Code, good for {code['expires_in']} s: {newest}")
        elif self.typed:
            print_facts({"code to type": newest})
            note(f"Good for {code['expires_in']} s. On the phone: Linked devices, Link with phone number instead")
        else:
            pairing.show(code, None)

    def _tell_of(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            note(trouble)
        self.trouble = trouble


def _typed(code: Row) -> str | None:
    """What is to be typed; a new one is made once in 20 s, and until then there may be one to scan alone."""
    return code["code"] if code["qr"] is None and code["picture"] is None else None
