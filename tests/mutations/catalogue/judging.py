"""Defects of the simulated WhatsApp that speaks the real protocol: a judge that sees too little proves too much."""

from tests.mutations.defect import Defect, tests

_HERE = "simulated_whatsapp/multidevice"
_MESSAGES = (tests(f"{_HERE}/test_multidevice_messages.py"),)
_LOGINS = (tests(f"{_HERE}/test_multidevice_logins.py"),)
_SIGNAL = (tests(f"{_HERE}/test_multidevice_signal.py"),)
_WIRE = (tests(f"{_HERE}/test_multidevice_wire.py"),)
_GROUPS = (tests(f"{_HERE}/test_multidevice_groups.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "phones-never-saw-an-id",
        "a phone shows a message again whose id it has shown",
        f"{_HERE}/phones/phone.py",
        "if key in self._had and self.drops_repeats:",
        "if False:",
        _MESSAGES,
    ),
    Defect(
        "ratchets-open-twice",
        "a message whose key was used is told apart from one that never opened by nothing",
        f"{_HERE}/signal/ratchet.py",
        'raise AlreadyDecrypted(f"message {counter} of its chain was opened before")',
        'raise Undecryptable(f"message {counter} of its chain was opened before")',
        (*_SIGNAL, *_MESSAGES),
    ),
    Defect(
        "ratchets-move-on-for-anything",
        "a message that does not open moves the ratchet on all the same",
        f"{_HERE}/signal/ratchet.py",
        "trial = self._copy()",
        "trial = self",
        _SIGNAL,
    ),
    Defect(
        "prekeys-are-good-for-ever",
        "a one-time prekey opens any number of sessions",
        f"{_HERE}/signal/identity.py",
        "del self._prekeys[first.prekey]",
        "pass",
        _SIGNAL,
    ),
    Defect(
        "anybody-is-a-linked-device",
        "a phone reads a linked device's first message without proof of whose device it is",
        f"{_HERE}/phones/phone.py",
        'if part.kind != "pkmsg" or ":" not in incoming.sender:',
        "if True:",
        _MESSAGES,
    ),
    Defect(
        "twins-share-a-login",
        "a second login of a device leaves the first connection where it is",
        f"{_HERE}/protocol/logins.py",
        'if device.line is not None:\n            self._close(device, "replaced", REPLACED)',
        'if False:\n            self._close(device, "replaced", REPLACED)',
        _LOGINS,
    ),
    Defect(
        "any-key-logs-in",
        "a login is believed whatever key it was made with",
        f"{_HERE}/protocol/logins.py",
        "if device is None or device.noise != noise:",
        "if device is None:",
        _LOGINS,
    ),
    Defect(
        "offered-is-taken",
        "a message that was offered to a device is forgotten before the device said that it has it",
        f"{_HERE}/world/post.py",
        "waiting.sent_by = device.line.name",
        "waiting.sent_by = device.line.name; device.waiting = [each for each in device.waiting if each is not waiting]",
        _MESSAGES,
    ),
    Defect(
        "dropped-acks-arrive",
        "an acknowledgement that was to be dropped is sent",
        f"{_HERE}/protocol/messages.py",
        "if faults.take(Fault.DROP_ACK, device.name):\n            return",
        "if faults.take(Fault.DROP_ACK, device.name):\n            pass",
        _MESSAGES,
    ),
    Defect(
        "labels-are-the-devices",
        "the ledger has the label of no connection",
        f"{_HERE}/protocol/messages.py",
        "            frame_sha256=frame,\n            label=line.label,",
        "            frame_sha256=frame,\n            label={},",
        _MESSAGES,
    ),
    Defect(
        "group-keys-are-never-missing",
        "a phone that was not given a group's key asks for nothing",
        f"{_HERE}/protocol/reading.py",
        "elif reading.retry:",
        "elif False:",
        (*_GROUPS, *_MESSAGES),
    ),
    Defect(
        "nobody-vouches-for-the-server",
        "the intermediate certificate is signed by itself, not by the root",
        f"{_HERE}/wire/certificates.py",
        "sign(root.private, middle)",
        "sign(intermediate.private, middle)",
        _WIRE,
    ),
)
