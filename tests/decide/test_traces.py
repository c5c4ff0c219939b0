"""Which `traceparent` is believed, and how it goes on (https://www.w3.org/TR/trace-context/)."""

import pytest

from homing.decide.traces import read
from homing.model.tracing import Trace

ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_trace_is_read_and_goes_on_under_a_span_of_its_own() -> None:
    trace = read(f"00-{ID}-{SPAN}-01")
    assert trace == Trace(ID, SPAN, "01")
    assert trace.header("b7ad6b7169203331") == f"00-{ID}-b7ad6b7169203331-01"


def test_only_the_flag_that_is_known_is_passed_on() -> None:
    trace = read(f"00-{ID}-{SPAN}-ff")
    assert trace is not None
    assert trace.header(SPAN).endswith("-01")


def test_a_later_version_may_have_more_behind_the_flags() -> None:
    assert read(f"cc-{ID}-{SPAN}-00-what-the-future-will-be-like") == Trace(ID, SPAN, "00")


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"00-{ID}-{SPAN}",
        f"00-{ID.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"ff-{ID}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01-more",
        f"cc-{ID}-{SPAN}-01.more",
        f" 00-{ID}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01\n",
        f"00-{ID}x-{SPAN}-01",
    ],
)
def test_what_is_not_well_formed_names_no_trace(header: str) -> None:
    assert read(header) is None
