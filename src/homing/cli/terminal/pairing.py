"""A pairing code at the terminal: drawn in half blocks, or written to a file as a picture."""

import base64
import binascii
import sys
from collections.abc import Sequence
from pathlib import Path

from homing.cli.terminal.output import Row, note, print_facts
from homing.cli.terminal.stops import CannotStart, NeedsAttention

_QUIET = 2
"""Modules of margin: phones read it with less than the standard's four."""
_LIGHT_ON_DARK, _PLAIN = "\x1b[97;40m", "\x1b[0m"
_PNG = "data:image/png;base64,"


def show(code: Row, save: Path | None) -> None:
    """The code for whoever holds the phone, and how long it is good on stderr. Raises NeedsAttention."""
    if save is not None:
        _save(code, save)
        note(f"The code is in {save}; it is good for {code['expires_in']} s")
        return
    if code["qr"]:
        sys.stdout.write(drawn(code["qr"], coloured=sys.stdout.isatty()))
    elif code["picture"]:
        raise NeedsAttention("The instance gave a picture in which no QR code can be read; have it with --save qr.png")
    if code["code"] and code["code"] != code["qr"]:
        print_facts({"code to type": code["code"]})
    note(f"Good for {code['expires_in']} s. On the phone: WhatsApp, Linked devices, Link a device")


def drawn(text: str, *, coloured: bool) -> str:
    """The QR code of a text, two rows of modules to a line; light modules are drawn, as for a dark terminal."""
    import segno

    light = [[not dark for dark in row] for row in segno.make(text, error="l", micro=False).matrix_iter(border=_QUIET)]
    if len(light) % 2:
        light.append([False] * len(light[0]))
    lines = [_line(upper, lower) for upper, lower in zip(light[::2], light[1::2], strict=True)]
    begin, end = (_LIGHT_ON_DARK, _PLAIN) if coloured else ("", "")
    return "".join(f"{begin}{line}{end}\n" for line in lines)


def _line(upper: Sequence[bool], lower: Sequence[bool]) -> str:
    blocks = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
    return "".join(blocks[pair] for pair in zip(upper, lower, strict=True))


def _save(code: Row, to: Path) -> None:
    try:
        to.write_bytes(_png(code))
    except OSError as error:
        raise CannotStart(f"{to} cannot be written: {error.strerror or error}") from error


def _png(code: Row) -> bytes:
    """The instance's own picture, or the text drawn as one."""
    picture = code["picture"]
    if picture is not None and picture.startswith(_PNG):
        try:
            return base64.b64decode(picture[len(_PNG) :], validate=True)
        except binascii.Error:
            pass
    if not code["qr"]:
        raise NeedsAttention("There is no QR code, only one to type: leave --save away")
    import io

    import segno

    made = io.BytesIO()
    segno.make(code["qr"], error="l", micro=False).save(made, kind="png", scale=6)
    return made.getvalue()
