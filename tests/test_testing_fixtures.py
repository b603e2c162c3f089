"""The fixtures for the tests of plugins."""

from __future__ import annotations

import json

import engine_fakes

from ambientkit import Engine

pytest_plugins = ["ambientkit.testing.fixtures"]


def test_the_engine_knows_the_built_ins_alone(ambientkit_engine):
    reports = ambientkit_engine.plugins.reports
    assert reports == Engine(discover=False).plugins.reports
    assert ambientkit_engine.plugins.registry.find("measurement", "block_patch")


def test_an_engine_can_be_given_plugins(ambientkit_engine_with, tiny_recipe):
    engine = ambientkit_engine_with(engine_fakes)
    plan = engine.load(tiny_recipe(measurement={"kind": "fakes/half"}))
    assert plan.measurement.registered.name == "fakes/half"


def test_the_cache_is_in_the_tests_folder(ambientkit_engine, tiny_recipe, tmp_path):
    result = ambientkit_engine.run(tiny_recipe(), out=tmp_path / "runs", device="cpu")
    assert result.step == 2
    assert list((tmp_path / "ambientkit-cache" / "stores").iterdir())


def test_changes_are_merged_into_the_recipe(ambientkit_engine, tiny_recipe):
    recipe = tiny_recipe(train={"steps": 7}, generator={"kind": "unet", "width": 2}, composite=False)
    assert recipe["train"] == {"steps": 7, "batch_size": 4}
    assert recipe["generator"] == {"kind": "unet", "width": 2}
    assert ambientkit_engine.validate(recipe) == []
    assert tiny_recipe()["train"]["steps"] == 2


def test_the_run_folder_holds_a_finished_run(run_folder, ambientkit_engine):
    assert json.loads((run_folder / "run.json").read_text())["status"] == "finished"
    assert ambientkit_engine.open(run_folder, device="cpu").completes
