"""What a disk refuses for now."""

import errno

_FOR_NOW = frozenset(
    {
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.ESTALE,
        errno.ENFILE,
        errno.EMFILE,
        errno.ENOMEM,
    }
)


def may_pass(error: OSError) -> bool:
    """Read-only, full, out of reach, or nobody could open a file just now: it may do later what it refused.

    A path that is wrong, or that is not ours to write, is for a person.
    """
    return error.errno in _FOR_NOW
