"""A few hundred of the requests that `make fuzz` makes by the thousand."""

from collections.abc import Iterator

import pytest
import structlog

from fuzz.api import ask
from fuzz.served import Served, served

SEED = 20260131


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)


@pytest.fixture
def gateway(store_url: str) -> Iterator[Served]:
    with served(store_url) as it:
        yield it


def test_every_answer_is_one_that_the_description_names(gateway: Served) -> None:
    for caller in ("operator", "reader"):
        tally = ask(gateway, caller, seed=SEED, examples=2, phases=("fuzzing",))
        assert not tally.findings, tally.findings
        assert tally.cases >= 100
        assert all(status < 500 or status == 503 for status in tally.statuses)
