"""Marks by which processes that share a machine tell each other, whatever container they live in.

The name of each incarnation ends with that of its process: so it is known whose lease ended with a process.
"""

import os
from hashlib import blake2b
from pathlib import Path


def marked(name: str) -> str:
    """The name of an incarnation of this very process, by which others who share its machine can tell it."""
    mark = mark_of(os.getpid())
    return f"{name}-{mark}" if mark else name


def mark_of(pid: int, proc: Path = Path("/proc")) -> str:
    """What tells a process from every other, in every container of the machine, for all time; empty if nobody says.

    Its number within its own namespace, that namespace, when it began, and the boot of the machine.
    """
    about = proc / str(pid)
    try:
        status = (about / "status").read_text(errors="replace").splitlines()
        own_pid = next(line.split()[-1] for line in status if line.startswith("NSpid:"))
        began = (about / "stat").read_text(errors="replace").rpartition(")")[2].split()[19]
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (about / "ns/pid").readlink()
    except (OSError, StopIteration, IndexError):
        return ""
    return blake2b(f"{boot} {namespace} {own_pid} {began}".encode(), digest_size=6).hexdigest()
