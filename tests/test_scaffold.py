"""New plugins: the package of each category is whole, imports, keeps its promises and passes its tests."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from ambientkit import Engine, recipe_schema
from ambientkit.errors import InputError
from ambientkit.names import CATEGORIES
from ambientkit.plugin_check import LoadedPlugin
from ambientkit.scaffold import ROLES, new_plugin

LONG = "quite-a-long-name-for-a-{}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A package of each category, by category; their modules can be imported."""
    place = tmp_path_factory.mktemp("made")
    folders = {category: new_plugin(f"own-{category}", category, place / "new") for category in CATEGORIES}
    with pytest.MonkeyPatch.context() as patch:
        for folder in folders.values():
            patch.syspath_prepend(str(folder / "src"))
        yield folders


def module_of(folder: Path):
    return importlib.import_module(folder.name.replace("-", "_"))


def test_every_category_has_templates():
    assert set(ROLES) == set(CATEGORIES)


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_package_is_whole(made, category):
    folder, name, module = made[category], f"own-{category}", f"ambientkit_own_{category}"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found >= {"README.md", "pyproject.toml", f"{name}.yaml", f"src/{module}/py.typed"}
    assert found >= {f"src/{module}/__init__.py", "tests/conftest.py", f"tests/test_own_{category}.py"}
    assert sum(path.startswith(f"src/{module}/") for path in found) == 3
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["name"] == f"ambientkit-{name}" and "license" not in project["project"]
    assert project["project"]["entry-points"]["ambientkit"] == {f"own_{category}": module}
    assert "None is chosen yet" in (folder / "README.md").read_text("utf-8")
    assert not any("$" in path.read_text("utf-8") for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("category", CATEGORIES)
def test_it_imports_and_keeps_its_promises(made, category):
    plugins = Engine(plugins=[module_of(made[category])], discover=False).plugins
    plugin = LoadedPlugin(plugins.reports[-1:], plugins)
    assert plugin.reports[0].namespace == f"own-{category}"
    found = list(plugin.check(corners=True))
    assert found[0].options == "defaults" and len(found) > 1
    for checked in found:
        assert checked.component == f"{category}/own-{category}/own_{category}"
        assert checked.failures == (), f"{checked.options}: {checked.failures}"
        assert sum(finding.outcome == "passed" for finding in checked.findings) > 8


@pytest.mark.parametrize("category", CATEGORIES)
def test_its_recipe_uses_it_and_is_valid(made, category):
    folder = made[category]
    recipe = folder / f"own-{category}.yaml"
    assert f"own-{category}/own_{category}" in str(yaml.safe_load(recipe.read_text("utf-8")))
    assert Engine(plugins=[module_of(folder)], discover=False).validate(recipe) == []


def test_options_are_described_and_bounded(made):
    modules = [module_of(folder) for folder in made.values()]
    registry = Engine(plugins=modules, discover=False).plugins.registry
    own = [entry for entry in registry if entry.name.startswith("own-")]
    numbers = [
        held
        for entry in own
        for held in entry.component.options.model_json_schema().get("properties", {}).values()
        if held.get("type") in {"integer", "number"}
    ]
    assert len(own) == len(CATEGORIES) and len(numbers) >= 12
    assert all(any("inimum" in key for key in held) and held["description"] for held in numbers)
    assert recipe_schema.schema(registry)


def test_every_file_that_a_readme_names_is_there(made):
    for category, folder in made.items():
        named = re.findall(r"^- `(\S+)`: ", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
        assert len(named) == 4, category
        assert [name for name in named if not (folder / name).is_file()] == [], category
        assert not any("conftest" in name for name in named), category


@pytest.mark.slow  # the CI script runs them too, from their wheels
def test_their_own_tests_pass(made, tmp_path):
    """In a process of its own, as an author runs them, but for all packages at once."""
    tests = [str(folder / "tests") for folder in made.values()]
    place = next(iter(made.values())).parent
    quick = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(place), "-W", "error"]
    sources = os.pathsep.join(str(folder / "src") for folder in made.values())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *quick, "--import-mode=importlib", *tests],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": sources, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "skipped" not in done.stdout and int(done.stdout.split(" passed")[0].rpartition("\n")[2]) > 40


def test_they_are_clean_whatever_the_name_is(made, tmp_path):
    for category in CATEGORIES:
        new_plugin(LONG.format(category), category, tmp_path)
    folders = [*made.values(), *tmp_path.iterdir()]
    assert len(folders) == 2 * len(CATEGORIES)
    for command in (["check"], ["format", "--check", "--diff"]):
        told = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", *map(str, folders)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stdout + told.stderr


# Faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("My_Fog", "my-fog"),
        ("ambientkit-fog", "fog"),
        ("fog-", "fog"),
        ("my--fog", "my-fog"),
        ("3d", ""),
        ("", ""),
        ("../fog", ""),
        ("nebel-über", ""),
    ],
)
def test_names_that_cannot_be_are_refused_with_one_that_can(name, better, tmp_path):
    with pytest.raises(InputError, match="cannot name a plugin") as told:
        new_plugin(name, out=tmp_path)
    assert (f"{better!r} would do" in str(told.value)) == bool(better)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["deepinv", "plugins", "recipes", "measurement"])
def test_names_that_mean_something_are_refused(name, tmp_path):
    with pytest.raises(InputError, match="already"):
        new_plugin(name, out=tmp_path)


def test_a_long_name_is_refused(tmp_path):
    with pytest.raises(InputError, match="40 characters"):
        new_plugin("a" * 41, out=tmp_path)


def test_an_unknown_kind_is_told_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match="did you mean 'generator'"):
        new_plugin("fog", "generater", tmp_path)


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_nothing_is_overwritten(there, tmp_path):
    place = tmp_path / "ambientkit-fog"
    if there == "folder":
        place.mkdir()
    elif there == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="exists already"):
        new_plugin("fog", out=tmp_path)
    assert list(tmp_path.iterdir()) == [place] and (there != "file" or place.read_text() == "mine")


def test_a_package_that_could_not_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(self, *_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        new_plugin("fog", out=tmp_path)
    assert list(tmp_path.iterdir()) == []
