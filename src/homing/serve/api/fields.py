"""Fields of request bodies that several resources take, each with what it may hold."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

Phone = Annotated[str, Meta(min_length=1, max_length=1000)]


Name = Annotated[str, Meta(max_length=200)]


Uuid = Annotated[str, Meta(min_length=1, max_length=64)]


ChosenId = Annotated[int, Meta(ge=1, le=1_000_000_000)]


Chosen = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]*$")]
"""A uuid that is given, or any other word that can stand in an address."""


SessionName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


Amount = Annotated[float, Meta(gt=0, le=1e9)]


Labels = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=200)]], Meta(max_length=32)
]


Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]


Family = Annotated[str, Meta(min_length=1, max_length=100)]


BootName = Annotated[str, Meta(min_length=1, max_length=200)]


Moment = Annotated[datetime, Meta(tz=True)]
