"""Options that several commands share, and how each explains itself."""

from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

AsJson = Annotated[
    bool,
    Parameter(name="--json", negative="", show_default=False, help="Print one JSON document and nothing else."),
]


def _names_something(_: object, value: str | None) -> None:
    if value is not None and not value.strip():
        raise ValueError("an empty name names nothing")


AccountRef = Annotated[
    str, Parameter(validator=_names_something, help="The account's number (144), its uuid or its session.")
]
InstanceRef = Annotated[
    str, Parameter(validator=_names_something, help="Its address (http://host:3001) or its number.")
]
Labels = Annotated[list[str] | None, Parameter(negative="", help="NAME=VALUE, any number of times.")]
Force = Annotated[bool, Parameter(negative="", help="Although its takeover is `never`.")]
Workspace = Annotated[
    int | None, Parameter(validator=Number(gte=1), help="The workspace's number. A key that acts for one needs none.")
]
Name = Annotated[str, Parameter(show_default=False, help="A name for people to read.")]
After = Annotated[int, Parameter(validator=Number(gte=0), help="Go on behind this id, which the page before named.")]
Limit = Annotated[int, Parameter(validator=Number(gte=1, lte=500), help="Rows at most.")]
Status = Literal[
    "connected", "starting", "pairing", "disconnected", "logged_out", "failed", "stopped", "quarantined", "unknown"
]
Kind = Literal["placement", "rediscovery", "rehome", "migration", "take_back"]
Scope = Literal["admin", "send", "read"]
Bare = Literal["strict", "national", "international"]
RateOption = Annotated[
    str | None, Parameter(name="--rate-limit", help="Requests at most: 600/min, 10/s, 5000/h; none: any number.")
]
Takeover = Literal["never", "manual", "auto"]
DeafPolicyOption = Annotated[
    Literal["observe", "restart", "full", "inherit"] | None,
    Parameter(help="What is done by itself once a session is deaf; inherit: what is said one step above."),
]
ExitProxyOption = Annotated[
    str | None, Parameter(help="By which proxy its session goes out: http://user:password@host:port; none: by none.")
]


def deaf_policy_given(given: str | None) -> dict[str, str | None]:
    """The field of a body; `inherit` takes away what was said here."""
    return {} if given is None else {"deaf_policy": None if given == "inherit" else given}


def labels(given: list[str]) -> dict[str, str]:
    """NAME=VALUE pairs."""
    from homing.cli.terminal.stops import CannotStart

    pairs = [text.partition("=") for text in given]
    if not all(name and equals for name, equals, _ in pairs):
        raise CannotStart("A label is written NAME=VALUE, such as --label rack=b")
    return {name: value for name, _, value in pairs}
