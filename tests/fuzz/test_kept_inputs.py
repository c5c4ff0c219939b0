"""Every input that the fuzzers kept is read again, and every one that once did harm."""

import pytest

from fuzz.kept import LONGEST, kept
from fuzz.parsers import NAMES, parser

MANY = 150
"""Inputs that are kept of one parser at the most: they are to be read with every run of the tests."""


@pytest.mark.parametrize("name", NAMES)
def test_what_was_kept_does_no_harm(name: str) -> None:
    it, files = parser(name), kept(name)
    assert 0 < len(files) <= MANY
    for data in (*it.SEEDS, *(file.read_bytes() for file in files)):
        it.check(data)
        assert len(data) <= LONGEST


@pytest.mark.parametrize("name", NAMES)
def test_nothing_at_all_is_read_without_harm(name: str) -> None:
    parser(name).check(b"")
