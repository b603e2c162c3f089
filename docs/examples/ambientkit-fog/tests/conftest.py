"""What the tests share. `ambientkit.testing` has the checks that every component is held to."""

import pytest
from ambientkit import Engine
from ambientkit.testing.fixtures import ambientkit_engine_with as ambientkit_engine_with

import ambientkit_fog


@pytest.fixture
def engine(ambientkit_engine_with) -> Engine:
    """An engine with this package and the built-ins, whatever else is installed."""
    return ambientkit_engine_with(ambientkit_fog)
