"""Defects of what messages say beyond words, and of the files in them."""

from tests.mutations.defect import Defect, tests

_ADDRESSES = (tests("decide/test_addressing.py"),)
_READING = (tests("serve/test_content_reading.py"),)
_TYPES = (tests("drivers/test_message_types.py"),)
_MEDIA = (tests("serve/test_media_api.py"),)
_INSTANCE = (tests("instance/test_instance_messages.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "any-server-is-a-group",
        "an address at a server that nobody knows is taken",
        "homing/decide/phones/addressing.py",
        "    if kind is None:\n",
        "    if kind is None and not name:\n",
        _ADDRESSES,
    ),
    Defect(
        "what-belongs-elsewhere-is-passed-over",
        "a field of another type is silently left out of the message",
        "homing/serve/content.py",
        '        if name not in belong and getattr(fields, name) not in (None, "", []):\n',
        "        if name not in belong and not hasattr(fields, name):\n",
        _READING,
    ),
    Defect(
        "somebody-elses-words-edited",
        "a message that somebody else said is edited or taken back",
        "homing/serve/content.py",
        '    if written.startswith("false_"):\n',
        '    if written.startswith("never_"):\n',
        _READING,
    ),
    Defect(
        "an-answer-that-answers-nothing",
        "what a driver takes no reply_to with is sent without it",
        "homing/decide/sending/abilities.py",
        "    return _beside(content, can, driver)\n",
        "    return None\n",
        _TYPES,
    ),
    Defect(
        "half-a-file-is-a-file",
        "a file that ends too early goes out as if it were whole",
        "homing/drivers/http/streamed.py",
        "        if seen != self.size:\n",
        "        if seen > self.size:\n",
        _TYPES,
    ),
    Defect(
        "a-name-opens-the-file",
        "the id by which a message names a file is good as its address, too",
        "homing/decide/media/tokens.py",
        'b"homing media " + use.value.encode()',
        'b"homing media "',
        (tests("decide/test_media.py"),),
    ),
    Defect(
        "files-for-every-workspace",
        "a file is named by the messages of any workspace",
        "homing/flows/media/outgoing.py",
        "        if grant is None or grant.workspace != workspace:\n",
        "        if grant is None:\n",
        _MEDIA,
    ),
    Defect(
        "a-voice-note-of-any-sound",
        "a file that is no Opus is sent as a voice note",
        "homing/decide/media/limits.py",
        "    if kind is MessageType.VOICE and not is_opus(head):\n",
        "    if kind is MessageType.VOICE and not head:\n",
        _MEDIA,
    ),
    Defect(
        "a-file-that-never-ends-is-read",
        "a file is taken in beyond every limit",
        "homing/flows/media/intake.py",
        "        if self._size > self._limits.largest:\n",
        "        if self._size < 0:\n",
        (tests("flows/test_media_intake.py"),),
    ),
    Defect(
        "what-was-refused-stays-on-disk",
        "a file that is not kept is left where it came in",
        "homing/flows/media/intake.py",
        "            await spool.discard()\n",
        "            pass\n",
        _MEDIA,
    ),
    Defect(
        "another-file-than-was-announced",
        "an instance sends whatever bytes are at the address",
        "homing/instance/api/http.py",
        "        if wanted.sha256 not in (None, given.sha256):\n",
        "        if wanted.sha256 == given.sha256 == None:\n",
        _INSTANCE,
    ),
)
