"""Mounts that only this run and what it starts can see, and that are gone with the last of them, whatever ends it.

As root by a mount namespace; else in a user namespace of our own, where the system allows that.
"""

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWNS = 0x0002_0000
_CLONE_NEWUSER = 0x1000_0000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND = 0x1, 0x20, 0x1000
_EVERYWHERE_PRIVATE = 0x4000 | 0x4_0000
"""MS_REC | MS_PRIVATE."""


class Unmountable(Exception):
    """The system does not let us mount. The message says what it said."""


_own: bool = False
_lacking: str | None = None


def enter() -> None:
    """Have mounts of our own from here on, if the system allows it. To be called once, before there are threads."""
    global _own, _lacking
    try:
        _enter()
        _own = True
    except Unmountable as error:
        _lacking = str(error)


def lacking() -> str | None:
    """Why there are no mounts of our own; None if there are."""
    return None if _own else _lacking or "mounts of its own, which were not asked for"


def tmpfs(at: Path, size_bytes: int, user: str | None) -> None:
    """A file system of that size in memory; `user` may write it. Raises Unmountable."""
    owner = f",mode=0700,uid={_uid(user)}" if user is not None else ",mode=0700"
    _mount("homing", at, "tmpfs", 0, f"size={size_bytes}{owner}")


def bind(source: Path, at: Path) -> None:
    """What is at `source` is at `at` too. Raises Unmountable."""
    _mount(str(source), at, None, _MS_BIND, None)


def remount(at: Path, *, read_only: bool) -> None:
    """Of something bound. Raises Unmountable while somebody has a file open through it to write."""
    _mount("none", at, None, _MS_REMOUNT | _MS_BIND | (_MS_RDONLY if read_only else 0), None)


def unmount(at: Path) -> None:
    """Even if somebody uses it still: it goes with the last."""
    detach = 2
    _checked(_libc().umount2(os.fsencode(at), detach), f"{at} cannot be unmounted")


def _enter() -> None:
    if sys.platform != "linux":
        raise Unmountable("mount namespaces, which only Linux has")
    user, group = os.geteuid(), os.getegid()
    if _libc().unshare(_CLONE_NEWNS) != 0:
        _checked(_libc().unshare(_CLONE_NEWNS | _CLONE_NEWUSER), "root, or user namespaces that anybody may make")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _mount("none", Path("/"), None, _EVERYWHERE_PRIVATE, None)


def _mount(source: str, at: Path, kind: str | None, flags: int, options: str | None) -> None:
    arguments = (os.fsencode(source), os.fsencode(at), kind and kind.encode(), flags, options and options.encode())
    _checked(_libc().mount(*arguments), f"{at} cannot be mounted")


def _checked(result: int, what: str) -> None:
    if result != 0:
        raise Unmountable(f"{what} ({os.strerror(ctypes.get_errno())})")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _uid(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_uid
