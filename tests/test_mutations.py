"""The catalogue of defects fits the code."""

import ast
from pathlib import Path

import pytest

from tests.mutations.catalogue import DEFECTS
from tests.mutations.defect import Defect, Suite, source_of

PROJECT = Path(__file__).parent.parent


def test_there_are_many_and_each_has_its_name() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) >= 40


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_each_defect_changes_one_place_and_leaves_python(defect: Defect) -> None:
    source = source_of(PROJECT, defect).read_text()
    changed = defect.applied(source)
    assert changed != source
    ast.parse(changed)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_each_defect_is_looked_for_where_there_are_tests(defect: Defect) -> None:
    named = [name for probe in defect.probes if isinstance(probe, Suite) for name in probe.files]
    assert named
    assert [name for name in named if not (PROJECT / name.partition("::")[0]).is_file()] == []
