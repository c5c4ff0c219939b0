"""The engine of the real WhatsApp, fetched once for all that try it."""

import os
from pathlib import Path

import pytest

from homing.instance.engines.baileys import installing
from homing.instance.engines.registry import EngineUnusable


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> installing.Installed:
    folder = Path(os.environ.get("HOMING_ENGINES") or tmp_path_factory.mktemp("engines"))
    try:
        return installing.found("node", folder)
    except EngineUnusable:
        try:
            return installing.install("node", folder)
        except EngineUnusable as missing:
            pytest.skip(f"NOT RUN: {missing}")
