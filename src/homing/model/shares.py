"""Sharing what there is not enough of, so that nobody's excess costs anybody else."""


def may_take(used: int, free: int, most: int) -> bool:
    """Whether one who has `used` may take one more, where `free` are left and nobody is to have more than `most`.

    Whoever takes leaves at least as many free as he has before. So one alone gets half at the most, of several who
    take what they can each gets as much as stays free, and a newcomer finds room beside them.
    """
    return used < most and used < free
