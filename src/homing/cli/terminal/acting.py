"""Which command is being carried out, for the audit log of a database that is asked directly."""

import getpass
import os
import socket
from contextvars import ContextVar

from homing.model.directory.audit import Act, Via

command: ContextVar[str] = ContextVar("command", default="homing")
"""The words of the command, without its arguments: those may be phones or secrets."""


def act() -> Act:
    """Who carries out what, by the machine's word."""
    return Act(os.urandom(6).hex(), Via.COMMAND, _user(), command.get(), socket.gethostname())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
