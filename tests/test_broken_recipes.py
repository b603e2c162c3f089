"""Recipes that are wrong, each with the messages that it must give written in its first lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from ambientkit.errors import RecipeError
from ambientkit.plugins import Plugins
from ambientkit.recipe_file import load

FOLDER = Path(__file__).parent / "broken_recipes"
BROKEN = sorted(path.name for path in FOLDER.glob("*.yaml"))
MARK = "# expect: "


@pytest.fixture(scope="module")
def plugins():
    """The built-in plugins, as they are installed."""
    return Plugins.discover()


@pytest.fixture(autouse=True)
def in_the_folder(monkeypatch):
    """Messages then name files as a user would who stands beside them."""
    monkeypatch.chdir(FOLDER)


def test_there_are_broken_recipes_and_each_says_what_is_wrong_with_it():
    assert len(BROKEN) >= 35
    assert [name for name in BROKEN if not _expected(name)] == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_recipe_gives_exactly_the_messages_that_it_announces(name, plugins):
    with pytest.raises(RecipeError) as caught:
        load(name, [], plugins)
    found = [str(problem).removeprefix(f"{name}:").strip() for problem in caught.value.problems]
    assert found == _expected(name)
    assert caught.value.exit_code == 2


def test_what_they_begin_from_is_sound(plugins):
    assert load("parts/sound.yaml", [], plugins).warnings == ()


def _expected(name):
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
