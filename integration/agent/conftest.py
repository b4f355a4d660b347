"""Fixtures for tests of the real agent."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from world import World  # noqa: E402  (the path must be set first)


@pytest.fixture
def world(tmp_path):
    """A host with an API server that does not know our Node yet."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a network namespace")
    one = World(tmp_path)
    yield one
    one.end()


@pytest.fixture
def cluster(world):
    """A host whose API server knows us (n1) and two other nodes."""
    world.add_own_node()
    world.api.add("n2", "100.96.2.0/24", "172.20.0.12")
    world.api.add("n3", "100.96.3.0/24", "172.20.0.13")
    return world
