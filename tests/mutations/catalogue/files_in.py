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
        "asks-any-path-of-gowa",
        "an answer leads out of the folder that GOWA serves, with our login",
        "homing/drivers/gowa/answers.py",
        'name not in (".", "..") and ',
        "",
        _DRIVEN,
    ),
    Defect(
        "gowa-fails-for-ever",
        "a message that GOWA has no file of is asked for again and again",
        "homing/drivers/gowa/answers.py",
        "    return replace(fault, phase=Phase.PATH_NOT_FOUND) if known else fault\n",
        "    return fault\n",
        _DRIVEN,
    ),
    Defect(
        "file-beside-the-message-lost",
        "the bytes that wuzapi puts beside a message are dropped",
        "homing/drivers/wuzapi/reports.py",
        ', "data": body.get("base64")}',
        "}",
        _SERVED,
    ),
    Defect(
        "one-workspace-takes-every-place",
        "a workspace may have every file given out that there is a place for",
        "homing/flows/media/places.py",
        "        return may_take(self._used.get(workspace, 0), self.free, self._policy.places)\n",
        "        return self.free > 0\n",
        (tests("flows/test_giving_files_out.py"),),
    ),
    Defect(
        "one-workspace-waits-first",
        "all who wait of one workspace come before those of the next",
        "homing/flows/media/places.py",
        "            line = self._lines.pop(waiting)\n            turn = line.popleft()\n            if line:\n"
        "                self._lines[waiting] = line\n",
        "            line = self._lines[waiting]\n            turn = line.popleft()\n            if not line:\n"
        "                self._lines.pop(waiting)\n",
        (tests("flows/test_giving_files_out.py"),),
    ),
    Defect(
        "place-lost-by-who-gave-up",
        "whoever leaves as its turn comes keeps the place for ever",
        "homing/flows/media/places.py",
        "            if turn.done() and not turn.cancelled():\n"
        "                self._leave(workspace)\n            else:\n",
        "            if not turn.done() or turn.cancelled():\n",
        (tests("flows/test_giving_files_out.py"),),
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
        "reference-leads-anywhere",
        "what an instance told to find a file by is asked for whatever it is",
        "homing/decide/media/inbound.py",
        " and _REFERENCE.fullmatch(found) else None\n",
        " else None\n",
        _JUDGED,
    ),
    Defect(
        "file-is-lost-where-its-session-was",
        "the instance that had the session before it moved says for all that its file is gone",
        "homing/flows/media/inbound.py",
        "_GONE = frozenset({",
        "_GONE = frozenset({Phase.SESSION_NOT_FOUND, ",
        (tests("flows/test_giving_files_out.py"),),
    ),
    Defect(
        "part-of-a-file-is-whole",
        "an instance of ours ends a file that broke off as if that was all",
        "homing/instance/api/downloads.py",
        "        request.transport.abort()\n",
        "        pass\n",
        (tests("instance/test_files_that_came.py"),),
    ),
    Defect(
        "file-forgotten-in-the-vault",
        "a message that waits for its listener loses the file that came with it",
        "homing/instance/session/session.py",
        "message.at, self.phone_number, message.file\n",
        "message.at, self.phone_number\n",
        (tests("instance/test_files_that_came.py"),),
    ),
    Defect(
        "no-word-why-there-is-no-file",
        "a customer is told of a file without a link and without the reason",
        "homing/flows/media/inbound.py",
        "                return inbound.unavailable(self._fleet.traits(url).title)\n",
        "                return None\n",
        _SERVED,
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
