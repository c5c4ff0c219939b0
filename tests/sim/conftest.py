"""Virtual time for the tests of the simulation."""

from virtually import pytest_asyncio_loop_factories as pytest_asyncio_loop_factories
from virtually import pytest_configure as pytest_configure
