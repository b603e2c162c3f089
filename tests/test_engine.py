"""The engine as an API, and the machine it computes on."""

from __future__ import annotations

import json
import logging

import engine_fakes as fakes
import pytest
import torch
import yaml

from ambientkit import Context, Engine
from ambientkit.errors import InputError, PluginError, RecipeError, RunFolderError
from ambientkit.machine import choose

pytestmark = pytest.mark.smoke

CPU = {"device": "cpu", "precision": "fp32"}


def test_a_run_leaves_a_folder_that_tells_all_of_it(engine, tiny, tmp_path, capsys):
    level, handlers = logging.getLogger("ambientkit").level, list(logging.getLogger("ambientkit").handlers)
    result = engine.run(tiny(), "train.steps=3", "seed=4", out=tmp_path / "runs", **CPU)
    assert result.folder == tmp_path / "runs" / "tiny" / "0001-seed4"
    assert result.step == 3
    assert result.seconds > 0
    record = json.loads((result.folder / "run.json").read_text("utf-8"))
    assert (record["status"], record["step"], record["total_steps"]) == ("finished", 3, 3)
    assert record["data"]["training"] == 32
    assert record["data"]["held_out"] == 8
    assert record["parameters"]["generator"] > 0
    assert {"glcic", "masks", "faces", "dcgan", "adversarial"} == {p["name"] for p in record["plugins"]}
    resolved = yaml.safe_load((result.folder / "resolved.yaml").read_text("utf-8"))
    assert resolved["train"]["steps"] == 3
    assert engine.load(result.folder / "recipe.yaml").resolved() == resolved
    assert "from step 0 of 3" in (result.folder / "log.txt").read_text("utf-8")
    assert capsys.readouterr() == ("", ""), "an API does not print"
    assert logging.getLogger("ambientkit").level == level
    assert logging.getLogger("ambientkit").handlers == handlers


def test_a_recipe_is_a_path_a_mapping_or_a_plan(engine, tiny, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(tiny()), "utf-8")
    plan = engine.load(tiny())
    assert engine.load(file).resolved() == plan.resolved()
    assert engine.load(plan) is plan
    assert engine.load(plan, "train.batch_size=2").recipe.train.batch_size == 2
    assert engine.load(file, "train.batch_size=2").recipe.train.batch_size == 2
    assert engine.load(plan.resolved()).resolved() == plan.resolved()


def test_problems_are_returned_by_validate_and_raised_by_load(engine, tiny):
    bad = tiny(train={"bacth_size": 4}, measurement={"kind": "blok_patch"})
    problems = engine.validate(bad)
    assert len(problems) == 2
    assert engine.validate(tiny()) == []
    with pytest.raises(RecipeError) as raised:
        engine.load(bad)
    assert raised.value.problems == problems


def test_a_component_is_built_by_name(engine):
    sensor = engine.build("measurement", "block_patch", size=3)
    assert sensor.size == (3, 3)
    network = engine.build("generator", "glcic", context=Context(image_shape=(1, 16, 16)), width=2)
    assert isinstance(network, torch.nn.Module)
    with pytest.raises(PluginError, match="did you mean 'block_patch'"):
        engine.build("measurement", "block_pach")
    with pytest.raises(RecipeError, match="unknown key 'sise'"):
        engine.build("measurement", "block_patch", sise=3)


def test_nothing_is_written_when_a_recipe_cannot_run(engine, tiny, tmp_path):
    for recipe, error in (
        (tiny(train={"bacth_size": 4}), RecipeError),
        (tiny(train={"batch_size": 33}), InputError),
        (tiny(data={"holdout": 40}), InputError),
    ):
        with pytest.raises(error):
            engine.run(recipe, out=tmp_path / "runs", **CPU)
    assert not (tmp_path / "runs").exists()


def test_what_is_no_run_is_not_opened(engine, tmp_path):
    with pytest.raises(RunFolderError, match="not a run folder"):
        engine.open(tmp_path)


def test_the_same_recipe_gives_the_same_bits_and_another_seed_others(engine, tiny, tmp_path):
    runs = [engine.run(tiny(seed=seed), out=tmp_path, **CPU) for seed in (0, 0, 1)]
    one, same, other = [
        fakes.contents(run.folder / "checkpoints" / "step-0000002")["generator.safetensors"] for run in runs
    ]
    assert fakes.same(one, same)
    assert not fakes.same(one, other)


def test_a_failure_in_a_plugin_is_told_with_its_name(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(fakes, "Net", None)
    with pytest.raises(PluginError, match=r"generator fakes/net \(object engine_fakes\) could not be built"):
        engine.run(fakes.fidelity_only(), out=tmp_path, **CPU)


def test_a_sensor_that_is_not_what_its_options_declare_is_refused(engine, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(fakes.Half, "exact", False)
    with pytest.raises(PluginError, match="its options declare exact=True, the sensor says exact=False"):
        engine.run(tiny(measurement={"kind": "fakes/half"}), out=tmp_path, **CPU)


def test_the_cache_is_the_engines_own(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("AMBIENTKIT_CACHE", str(tmp_path / "by_name"))
    Engine(plugins=[fakes], discover=False).run(tiny(), out=tmp_path / "runs", **CPU)
    assert len(list((tmp_path / "by_name" / "stores").iterdir())) == 1


# The machine ------------------------------------------------------------------------------------


def test_devices_that_are_not_supported_or_not_there_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"device 'mps' is not supported; use cpu, cuda or auto"):
        choose("mps")
    with pytest.raises(
        InputError, match=r"'cuda' was asked for, but torch sees no CUDA GPU here; use --device cpu"
    ):
        choose("cuda")
    with pytest.raises(InputError, match="precision 'fp8' is not supported"):
        choose("cpu", "fp8")
    assert choose().device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose("cuda:1", "fp32").device == torch.device("cuda:1")
    with pytest.raises(InputError, match=r"'cuda:2' was asked for, but there are only 2"):
        choose("cuda:2", "fp32")
    with pytest.raises(InputError, match="'cuda:x' is not supported"):
        choose("cuda:x", "fp32")


def test_bf16_is_asked_for_or_native():
    assert choose("cpu", "bf16").bf16
    assert not choose("cpu", "fp32").bf16
    assert choose("cpu").bf16 == torch.cpu._is_avx512_bf16_supported()
    assert str(choose("cpu", "bf16")) == "cpu, bf16"


def test_under_bf16_terms_and_weights_are_float32(engine, tiny, tmp_path):
    result = engine.run(tiny(), out=tmp_path, device="cpu", precision="bf16")
    found = fakes.contents(result.folder / "checkpoints" / "step-0000002")
    assert all(
        value.dtype == torch.float32 for value in found["generator.safetensors"].values() if value.dim()
    )
    assert json.loads((result.folder / "run.json").read_text("utf-8"))["precision"] == "bf16"
    assert str(engine.open(result.folder, device="cpu").machine) == "cpu, bf16"


def test_arguments_of_another_type_are_told(engine, tiny, tmp_path):
    with pytest.raises(InputError, match=r"a text such as 'train.steps=100', not \{'train.steps': 3\}"):
        engine.run(tiny(), {"train.steps": 3}, out=tmp_path)
    with pytest.raises(InputError, match=r"give a list of names, such as \['seam'\]"):
        engine.evaluate(tmp_path, metrics="seam")
