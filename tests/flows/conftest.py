"""Flows are told in virtual time: hours take milliseconds, and a seed gives the order."""

from virtually import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
