"""Fixtures of the engine's tests: an engine without strangers' plugins, and small recipes."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import engine_fakes
import pytest
import torch
from hypothesis import settings
from kill_lab import Lab

from ambientkit import Engine

settings.register_profile("ci", derandomize=True, database=None, deadline=None)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start: a core has one of them
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="ambientkit-tests-")  # read once, when `datasets` is imported
os.environ["HF_HUB_OFFLINE"] = "1"
atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Sums are then made in one order, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine with the built-ins and the fakes of these tests, and a cache of its own."""
    return Engine(plugins=[engine_fakes], discover=False, cache_dir=tmp_path / "cache")


@pytest.fixture
def tiny() -> Callable[..., dict[str, Any]]:
    """`tiny(**changes)`: a small recipe; mappings in `changes` are merged into it, all else replaces."""
    return engine_fakes.tiny


@pytest.fixture
def ready(engine: Engine, tmp_path: Path) -> Callable[..., engine_fakes.Ready]:
    """`ready(recipe)`: the recipe prepared on the CPU, with a trainer that writes into `tmp_path`."""
    return lambda recipe, **options: engine_fakes.make_ready(engine, recipe, tmp_path, **options)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Where the command line is run in children that are killed, and lack disk, memory or a home."""
    if sys.platform == "win32":
        pytest.skip("children are forked")
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()
