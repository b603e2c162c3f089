"""What `wandb/log` tells Weights & Biases, by a stand-in that keeps it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ambientkit.errors import PluginError, RunError
from ambientkit.testing import check_callback

import ambientkit_wandb

RECIPE = Path(__file__).parents[1] / "wandb.yaml"
FEW = ("train.steps=4", "train.batch_size=4", "data.source.count=24", "data.holdout=4", "metrics.0.every=2")


class Recorder:
    """Keeps what is logged, in place of wandb and of its run."""

    def __init__(self) -> None:
        self.opened: list[dict] = []
        self.logged: list[tuple[int, dict]] = []
        self.codes: list[int] = []
        self.util = SimpleNamespace(generate_id=lambda: f"id{len(self.opened)}")

    def init(self, **settings):
        self.opened.append(settings)
        return self

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self, exit_code):
        self.codes.append(exit_code)

    def Image(self, pixels, caption):  # noqa: N802 - wandb's name
        return pixels, caption


@pytest.fixture
def wandb(monkeypatch) -> Recorder:
    """The stand-in, found by `import wandb`."""
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, "wandb", recorder)
    return recorder


@pytest.mark.parametrize("options", [{}, {"every": 1, "pictures_every": 1}, {"pictures": 0}], ids=str)
def test_it_keeps_its_promises(engine, wandb, options):
    check_callback(engine.build("callback", "wandb/log", **options))


def test_terms_figures_and_pictures_arrive(engine, wandb, tmp_path):
    change = ("callbacks.0.every=2", "callbacks.0.pictures_every=4", "callbacks.0.pictures=3")
    result = engine.run(RECIPE, *FEW, *change, out=tmp_path, device="cpu")
    assert wandb.codes == [0]
    (opened,) = wandb.opened
    assert opened["mode"] == "offline" and opened["project"] == "ambientkit"
    assert opened["config"]["measurement"]["size"] == 12
    assert opened["id"] == (result.folder / "wandb-id.txt").read_text()
    steps = [step for step, values in wandb.logged if any("/" in name for name in values)]
    assert steps == [1, 2, 4]
    figures = [step for step, values in wandb.logged if "hidden_psnr" in values]
    assert figures == [0, 2, 4]
    grids = {step: values["samples"] for step, values in wandb.logged if "samples" in values}
    assert sorted(grids) == [1, 4]
    pixels, caption = grids[4]
    assert pixels.shape == (3 * 32, 4 * 32, 3) and pixels.dtype == "uint8" and caption == "step 4"
    assert [step for step, _ in wandb.logged] == sorted(step for step, _ in wandb.logged)


def test_no_picture_leaves_where_none_is_wanted(engine, wandb, tmp_path):
    engine.run(RECIPE, *FEW, "callbacks.0.pictures=0", out=tmp_path, device="cpu")
    assert wandb.logged and not any("samples" in values for _, values in wandb.logged)


def test_a_resumed_run_goes_on_with_the_same_curves(engine, wandb, tmp_path):
    result = engine.run(RECIPE, *FEW, out=tmp_path, device="cpu")
    engine.resume(result.folder, device="cpu")
    first, second = wandb.opened
    assert first["id"] == second["id"] and second["resume"] == "allow"


def test_a_run_that_fails_is_marked(engine, wandb, tmp_path):
    class Broken:
        """Stops the run at its second step."""

        @ambientkit_wandb.hookimpl
        def on_step_end(self, report):
            if report.step == 2:
                raise OSError("no space left")

    with pytest.raises(RunError, match="no space"):
        engine.run(RECIPE, *FEW, out=tmp_path, device="cpu", callbacks=[Broken()])
    assert wandb.codes == [1]


def test_a_missing_wandb_is_told_with_the_remedy(engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(PluginError, match="pip install wandb"):
        engine.build("callback", "wandb/log")


def test_its_recipe_is_valid_without_wandb(engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert engine.validate(RECIPE) == []
