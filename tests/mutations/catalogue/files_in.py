"""Defects of giving out files that came with messages."""

from tests.mutations.defect import Defect, tests

_JUDGED = (tests("decide/test_inbound_media.py"),)
_DRIVEN = (tests("drivers/test_inbound_files.py"),)
_SERVED = (tests("serve/test_inbound_files_api.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "link-that-anybody-makes",
        "a link to a file is followed whoever signed it",
        "homing/decide/media/inbound.py",
        "        if not hmac.compare_digest(mac, _mac(secret, packed)):\n",
        "        if len(mac) != _MAC_BYTES:\n",
        _JUDGED,
    ),
    Defect(
        "link-for-ever",
        "a link to a file is good for ever",
        "homing/decide/media/inbound.py",
        " if said.until_s > now_s else None\n",
        "\n",
        _JUDGED,
    ),
    Defect(
        "page-given-out-as-such",
        "a stranger's file is given out as whatever it looks like",
        "homing/decide/media/inbound.py",
        "    found = sniffed(head)\n",
        "    return sniffed(head, 'x.html')\n",
        _JUDGED,
    ),
    Defect(
        "asks-any-path-of-waha",
        "a report leads out of the folder of WAHA's files, with our key",
        "homing/drivers/waha/answers.py",
        'name not in (".", "..") and ',
        "",
        _DRIVEN,
    ),
    Defect(
        "whole-file-in-memory",
        "a peer is never held back, so that a file waits here as a whole",
        "homing/drivers/http/sinks.py",
        "        if self._waiting > WAITING_BYTES and not self._held and self._hold is not None:\n",
        "        if False:\n",
        _DRIVEN,
    ),
    Defect(
        "half-a-file-is-whole",
        "a file whose connection broke is given out as if that was all",
        "homing/drivers/http/sinks.py",
        "                if self._fault is not None:\n",
        "                if False:\n",
        _DRIVEN,
    ),
    Defect(
        "address-of-the-gateway-told",
        "customers are told the address that a gateway put into its report",
        "homing/decide/deliveries/shapes.py",
        'for name in ("mimetype", "filename") if name in given}',
        "for name in given}",
        _SERVED,
    ),
)
