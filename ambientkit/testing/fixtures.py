"""Fixtures for the tests of plugins.

pytest_plugins = ["ambientkit.testing.fixtures"]

def test_it_trains(ambientkit_engine_with, tiny_recipe, tmp_path):
    engine = ambientkit_engine_with(my_plugin)
    engine.run(tiny_recipe(measurement={"kind": "fog/haze"}, composite=False), out=tmp_path)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ambientkit import Engine

EngineWith = Callable[..., Engine]
Recipe = dict[str, Any]


@pytest.fixture
def ambientkit_engine_with(tmp_path: Path) -> EngineWith:
    """`ambientkit_engine_with(*plugins)`: an engine with the built-ins and these modules or objects.

    Nothing else that is installed is discovered; measured stores are kept below `tmp_path`.
    """
    return lambda *plugins: Engine(plugins, discover=False, cache_dir=tmp_path / "ambientkit-cache")


@pytest.fixture
def ambientkit_engine(ambientkit_engine_with: EngineWith) -> Engine:
    """An engine with the built-ins alone, whatever is installed."""
    return ambientkit_engine_with()


@pytest.fixture
def tiny_recipe() -> Callable[..., Recipe]:
    """`tiny_recipe(**changes)`: a recipe that trains in a second, as plain data.

    Mappings in `changes` are merged into it, but for those with a `kind`, which replace what was there.
    """
    return make_tiny_recipe


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of `tiny_recipe()`, made once a session: read it, do not write into it."""
    place = tmp_path_factory.mktemp("ambientkit-run")
    engine = Engine(discover=False, cache_dir=place / "cache")
    return engine.run(make_tiny_recipe(), out=place / "runs", device="cpu", precision="fp32").folder


def make_tiny_recipe(**changes: Any) -> Recipe:
    """What the fixture `tiny_recipe` calls."""
    recipe: Recipe = {
        "recipe": 1,
        "name": "tiny",
        "data": {"source": {"kind": "toy_faces", "count": 24}, "image_size": [16, 16], "holdout": 8},
        "measurement": {"kind": "block_patch", "size": 6},
        "generator": {"kind": "glcic", "width": 4, "dilations": [1, 2, 2, 2]},
        "discriminator": {"kind": "dcgan", "width": 4},
        "objective": {"kind": "hinge"},
        "train": {"steps": 2, "batch_size": 4},
        "metrics": [{"kind": "hidden_psnr"}],
    }
    return _merged(recipe, changes)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Recipe:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        merge = isinstance(value, Mapping) and isinstance(old, Mapping) and "kind" not in value
        result[key] = _merged(old, value) if merge else value  # type: ignore[arg-type]  # both are mappings
    return result
