"""What every store may answer instead."""


class StoreUnavailable(Exception):
    """The database did not answer, or refused. Nothing is known of what was asked; try again later."""


class RowRefused(StoreUnavailable):
    """The database is there, and does not take what it was given, now or later. Nothing of it was done."""


class NameTaken(Exception):
    """Something with this name, phone or address exists already. The message says what."""


class AccountPlaced(Exception):
    """What was asked for holds only of an account whose session is nowhere. The message is where it is."""
