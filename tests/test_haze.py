"""The example plugin: one file with one sensor, in a recipe that trains."""

from __future__ import annotations

import inspect
import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location

import pytest
import torch
from docs_tables import ROOT

from ambientkit import Engine
from ambientkit.checkpoints import resume_command
from ambientkit.errors import PluginError, RunFolderError
from ambientkit.evaluating.wishes import Wishes

EXAMPLES = ROOT / "docs/examples"
SHAPE = (3, 16, 20)


@pytest.fixture
def hazy(tmp_path) -> Engine:
    return Engine(files=[EXAMPLES / "haze.py"], discover=False, cache_dir=tmp_path / "cache")


def test_trains_from_another_folder(hazy, tmp_path, monkeypatch):
    shutil.copy(EXAMPLES / "haze.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    few = ("train.steps=2", "train.batch_size=4", "data.source.count=24", "data.holdout=4")
    result = hazy.run("haze.yaml", *few, out="runs", device="cpu")
    assert result.step == 2
    assert len(list((result.folder / "samples").iterdir())) == 2
    used = {plugin["name"]: plugin for plugin in hazy.plugins.used(c.registered for c in _choices(hazy))}
    assert used["haze"]["namespace"] == "haze" and used["haze"]["version"].startswith("sha256:")


def test_figures_of_an_edited_sensor_are_refused_and_how_to_go_on_is_said(tmp_path, caplog):
    """It is no longer known what is measured; completing goes on, with a warning."""
    for name in ("haze.py", "haze.yaml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    file = tmp_path / "haze.py"

    def now() -> Engine:
        return Engine(files=[file], discover=False, cache_dir=tmp_path / "cache")

    few = ("train.steps=2", "train.batch_size=4", "data.source.count=24", "data.holdout=4")
    run = now().run(tmp_path / "haze.yaml", *few, out=tmp_path / "runs", device="cpu").folder
    assert resume_command(run) == f"ambientkit resume {run} --plugin {file}"
    asked = {"metrics": ["composited_psnr"], "wishes": Wishes(bootstrap=0), "device": "cpu"}
    assert now().evaluate(run, **asked).labels == {"haze/0001-seed0": []}
    file.write_text(file.read_text().replace("AMBIENTKIT_HOOK_API = 1", "AMBIENTKIT_HOOK_API = 1  # edited"))
    with pytest.raises(RunFolderError, match=r"plugin haze: the run has sha256:.*give the file as it was"):
        now().evaluate(run, **asked)
    now().open(run, device="cpu")
    assert "what it makes may differ" in caplog.text


def _choices(engine):
    return engine.load(EXAMPLES / "haze.yaml").choices()


def test_is_unknown_unless_it_is_named_on_the_command_line():
    problems = Engine(discover=False).validate(EXAMPLES / "haze.yaml")
    assert len(problems) == 1
    assert "haze/haze" in problems[0].message and "--plugin haze.py" in problems[0].remedy


def test_cannot_be_composited(hazy):
    problems = hazy.validate(EXAMPLES / "haze.yaml", "composite=true")
    assert [problem.path for problem in problems] == ["composite"]


def test_options_are_bounded(hazy):
    paths = [
        p.path for p in hazy.validate(EXAMPLES / "haze.yaml", "measurement.densest=1", "measurement.noise=-1")
    ]
    assert paths == ["measurement.densest", "measurement.noise"]


def test_draws_all_from_the_generator_and_measures_without_drawing(hazy):
    sensor = hazy.build("measurement", "haze/haze", densest=0.6, noise=0.1)
    before = torch.random.get_rng_state()
    theta = sensor.sample(6, SHAPE, torch.Generator().manual_seed(1))
    again = sensor.sample(6, SHAPE, torch.Generator().manual_seed(1))
    images = torch.rand(6, *SHAPE) * 2 - 1
    torch.random.set_rng_state(before)
    y = sensor.measure(images, theta)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(theta[name], again[name]) for name in theta) and len(theta) == 2
    assert torch.equal(y, sensor.measure(images, again))
    assert (
        theta["density"].unique().numel() == 6
        and 0 <= theta["density"].min() <= theta["density"].max() <= 0.6
    )
    assert theta["noise"].std().item() == pytest.approx(0.1, rel=0.1)


def test_is_white_where_it_is_dense_and_clear_where_it_is_not(hazy):
    sensor = hazy.build("measurement", "haze/haze")
    images, none = torch.rand(1, *SHAPE) * 2 - 1, torch.zeros(1, *SHAPE)
    for density, expected in ((0.0, images), (1.0, torch.ones_like(images))):
        y = sensor.measure(images, {"density": torch.full((1, 1, 1, 1), density), "noise": none})
        torch.testing.assert_close(y, expected)


def test_nothing_of_theta_is_kept(hazy):
    """Whoever knows the density and the noise knows the clean picture."""
    sensor = hazy.build("measurement", "haze/haze")
    assert sensor.known(sensor.sample(2, SHAPE, torch.Generator())) is None


def test_a_missing_file_is_told():
    with pytest.raises(PluginError, match="no such file"):
        Engine(files=[EXAMPLES / "haize.py"], discover=False)


def test_it_is_loaded_though_somebody_imported_the_file_before(monkeypatch):
    spec = spec_from_file_location("imported_before", EXAMPLES / "haze.py")
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    assert inspect.getmodule(module.Haze.measure.__code__) is not None  # `inspect` knows the file now
    (report,) = [each for each in Engine(files=[EXAMPLES / "haze.py"]).plugins.reports if each.name == "haze"]
    assert report.error is None
