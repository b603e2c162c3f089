"""The example distributions: they import, keep their promises, and their own tests pass."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from docs_tables import ROOT

from ambientkit import Engine
from ambientkit.plugin_check import LoadedPlugin

EXAMPLES = sorted((ROOT / "docs/examples").glob("ambientkit-*"))
OFFERED = {
    "fog": {"measurement/fog/fog"},
    "partialconv": {"generator/partialconv/unet"},
    "wandb": {"callback/wandb/log"},
}
WITHOUT_OTHERS = {"fog", "partialconv"}  # wandb is not installed here


def named(path: Path) -> str:
    return path.name.removeprefix("ambientkit-")


@pytest.fixture
def plugin(request, monkeypatch) -> LoadedPlugin:
    """The plugin of an example's folder, as if it were installed."""
    monkeypatch.syspath_prepend(str(request.param / "src"))
    module = importlib.import_module(f"ambientkit_{named(request.param)}")
    plugins = Engine(plugins=[module], discover=False).plugins
    return LoadedPlugin(plugins.reports[-1:], plugins)


def test_the_examples_are_those_that_are_tested():
    assert {named(path) for path in EXAMPLES} == set(OFFERED)


@pytest.mark.parametrize("path", EXAMPLES, ids=named)
def test_an_example_is_a_whole_distribution(path):
    name = named(path)
    project = tomllib.loads((path / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == path.name and project["license"] == "MIT"
    assert project["entry-points"]["ambientkit"] == {name: f"ambientkit_{name}"}
    for file in ("README.md", "LICENSE", f"{name}.yaml", f"src/ambientkit_{name}/py.typed"):
        assert (path / file).is_file()
    assert list((path / "tests").glob("test_*.py"))


@pytest.mark.parametrize("plugin", EXAMPLES, ids=named, indirect=True)
def test_an_example_offers_what_it_should_and_its_recipe_is_valid(plugin, request):
    name = plugin.reports[0].namespace
    assert set(plugin.reports[0].components) == OFFERED[name]
    recipe = ROOT / f"docs/examples/ambientkit-{name}/{name}.yaml"
    module = sys.modules[f"ambientkit_{name}"]
    assert Engine(plugins=[module], discover=False).validate(recipe) == []


@pytest.mark.parametrize(
    "plugin", [path for path in EXAMPLES if named(path) in WITHOUT_OTHERS], ids=named, indirect=True
)
def test_an_example_keeps_its_promises(plugin):
    (checked,) = plugin.check()
    assert checked.failures == () and len(checked.findings) > 20


def test_what_needs_another_library_says_so(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs/examples/ambientkit-wandb/src"))
    monkeypatch.setitem(sys.modules, "wandb", None)
    module = importlib.import_module("ambientkit_wandb")
    plugins = Engine(plugins=[module], discover=False).plugins
    (checked,) = LoadedPlugin(plugins.reports[-1:], plugins).check()
    assert any("pip install wandb" in finding.message for finding in checked.failures)


@pytest.mark.slow  # .ci/run runs them too, from their wheels
def test_their_own_tests_pass():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "-W", "error"]
        + ["--rootdir", str(ROOT / "docs/examples"), "--import-mode=importlib"]
        + [str(path / "tests") for path in EXAMPLES],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(path / "src") for path in EXAMPLES),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        },
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(done.stdout.split(" passed")[0].rpartition("\n")[2]) > 100


def test_they_are_clean():
    for command in (["check"], ["format", "--check", "--diff"]):
        for path in EXAMPLES:  # each by its own rules, as its author sees it
            told = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
                capture_output=True,
                text=True,
                check=False,
                cwd=path,
            )
            assert told.returncode == 0, told.stdout + told.stderr
