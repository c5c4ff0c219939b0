"""Virtual time for the tests of the simulation."""

from homing.lab.sim.testing import pytest_asyncio_loop_factories as pytest_asyncio_loop_factories
from homing.lab.sim.testing import pytest_configure as pytest_configure
