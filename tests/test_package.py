"""The package: what is installed is what is in the tree, and everything that is offered loads."""

from __future__ import annotations

import importlib
import json
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from docs_tables import ROOT

import ambientkit
from ambientkit import Engine, recipe_schema
from ambientkit.hookspecs import HOOK_API
from ambientkit.names import CATEGORIES
from ambientkit.plugin_sources import BRIDGES
from ambientkit.registry import Options

HOMES = {"ambientkit": "ambientkit", "ambientkit_plugins": "plugins", "ambientkit_recipes": "recipes"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def bare() -> Engine:
    return Engine(discover=False)


def folders_with_modules(home: str) -> set[str]:
    """Folders of a package's home that hold Python files, as paths relative to the checkout."""
    files = [path for path in (ROOT / home).rglob("*.py") if "__pycache__" not in path.parts]
    return {path.parent.relative_to(ROOT).as_posix() for path in files}


def test_packages_are_those_of_the_tree(project):
    """A sub-package that is not listed is in an editable install and missing in the wheel."""
    listed = project["tool"]["setuptools"]["packages"]
    folders = {name: Path(HOMES[name.split(".")[0]], *name.split(".")[1:]).as_posix() for name in listed}
    assert project["tool"]["setuptools"]["package-dir"] == HOMES
    found = set().union(*(folders_with_modules(home) for home in HOMES.values()))
    assert set(folders.values()) == found and len(listed) == len(set(listed)) > 10
    for folder in folders.values():
        assert (ROOT / folder / "__init__.py").is_file(), f"{folder} is no package"


def test_data_files_are_listed(project):
    """Whatever lies in the packages and is no Python file must be named in package-data."""
    data = project["tool"]["setuptools"]["package-data"]
    seen = 0
    for package, home in HOMES.items():
        files = [p for p in (ROOT / home).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
        for path in (path for path in files if path.suffix != ".py"):
            inside = path.relative_to(ROOT / home)
            assert any(inside.match(pattern) for pattern in data[package]), (
                f"{path} would not be in the wheel"
            )
            seen += 1
    assert seen > 5


def test_types_are_shipped():
    for home in ("ambientkit", "plugins"):
        assert (ROOT / home / "py.typed").is_file()


def test_entry_points_name_the_built_in_plugins(project):
    listed = project["project"]["entry-points"]["ambientkit"]
    folders = {path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py")}
    modules = {name.removesuffix("_bridge"): f"ambientkit_plugins.{name}" for name in folders}
    assert listed == modules and len(listed) > 8
    assert {name.removesuffix("_bridge") for name in folders if name.endswith("_bridge")} == BRIDGES
    for module in listed.values():
        assert importlib.import_module(module).AMBIENTKIT_HOOK_API == HOOK_API


def test_installed_entry_points_are_those_of_the_project(project):
    points = [p for p in entry_points(group="ambientkit") if p.dist and p.dist.name == "ambientkit"]
    installed = {point.name: point.value for point in points}
    assert installed == project["project"]["entry-points"]["ambientkit"], "install anew: pip install -e ."


def test_all_built_ins_load(bare):
    assert [(report.name, report.error) for report in bare.plugins.reports if report.error] == []
    offered = [name for report in bare.plugins.reports for name in report.components]
    assert len(offered) == len(set(offered)) > 20
    assert {name.partition("/")[0] for name in offered} == set(CATEGORIES)


def test_every_built_in_declares_its_facts(bare):
    """Only a stranger's component may leave the engine to build it and look."""
    entries = list(bare.plugins.registry)
    assert len(entries) > 20
    for entry in entries:
        options = entry.component.options
        declares = (options.facts, options.joint_facts) != (Options.facts, Options.joint_facts)
        assert declares, f"{entry.category}/{entry.name}"


def test_every_option_is_described_and_bounded_where_it_is_a_number(bare):
    seen = 0
    for entry in bare.plugins.registry:
        properties = entry.component.options.model_json_schema().get("properties", {})
        for name, held in properties.items():
            place = f"{entry.category}/{entry.name}.{name}"
            assert held.get("description"), f"{place} is not described"
            if held.get("type") in {"integer", "number"} and "enum" not in held:
                assert any("inimum" in key or "aximum" in key for key in held), f"{place} has no bounds"
                seen += 1
    assert seen > 10


def test_the_schema_is_current(bare):
    made = json.dumps(recipe_schema.schema(bare.plugins.registry), indent=2, ensure_ascii=False) + "\n"
    message = "not current; run: ambientkit schema --out docs/recipe.schema.json"
    assert (ROOT / "docs/recipe.schema.json").read_text("utf-8") == made, message


def test_public_names_are_sorted_and_there():
    names = ambientkit.__all__
    assert names == sorted(names) and len(names) == len(set(names)) > 10
    for name in names:
        assert getattr(getattr(ambientkit, name), "__name__", name) == name
    assert dir(ambientkit) == names
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = ambientkit.nothing_like_it


def test_public_names_are_told_to_type_checkers():
    text = (ROOT / "ambientkit/__init__.py").read_text("utf-8")
    assert [name for name in ambientkit.__all__ if f"import {name} as {name}\n" not in text] == []


def test_built_ins_use_public_names_alone():
    """Names of `ambientkit` itself, its errors, contracts, registry and picture reader: for strangers too."""
    public = {
        "ambientkit",
        *(f"ambientkit.{name}" for name in ("errors", "interfaces", "registry", "hookspecs", "pictures")),
    }
    seen = 0
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        for line in path.read_text("utf-8").splitlines():
            words = line.split()
            if words[:1] in (["from"], ["import"]) and words[1].split(".")[0].startswith("ambientkit"):
                assert words[1] in public, f"{path.relative_to(ROOT)}: {line.strip()}"
                seen += 1
    assert seen > 20


def test_versions_agree(project):
    version = project["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_dependencies_have_lower_bounds_only(project):
    groups = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    wanted = [each for group in groups for each in group if not each.startswith("ambientkit[")]
    assert len(wanted) > 15
    assert [
        each for each in wanted if ">=" not in each or any(mark in each for mark in ("<", "==", "~"))
    ] == []
