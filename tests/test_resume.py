"""Stopped in any way and resumed, a run ends with the bits of one that was never stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import engine_fakes as fakes
import pytest
import yaml

from ambientkit import Engine, checkpoints, hookimpl, run_folder
from ambientkit.errors import Interrupted, RunFolderError
from ambientkit.resumption import changed_plugins, differences, require_same_code

pytestmark = pytest.mark.smoke

CPU = {"device": "cpu", "precision": "fp32"}


class StopAt:
    """Sends this process a signal after a step."""

    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    @hookimpl
    def on_step_end(self, run, report):
        if report.step == self.step:
            os.kill(os.getpid(), self.number)


class Watch:
    """Remembers what a run told its callbacks."""

    def __init__(self) -> None:
        self.first_step, self.steps, self.outcomes = -1, [], []

    @hookimpl
    def on_run_start(self, run):
        self.first_step = run.first_step

    @hookimpl
    def on_step_end(self, run, report):
        self.steps.append(report.step)

    @hookimpl
    def on_run_end(self, run, step, outcome):
        self.outcomes.append((step, outcome))


def long_run(**train: Any) -> dict[str, Any]:
    """Everything that has a state: batch norm, spectral norm, EMA, two fidelities' draws, metrics, best."""
    return fakes.tiny(
        further=fakes.FURTHER,
        fidelity=[{"kind": "held_out", "weight": 10}],
        metrics=[{"kind": "fakes/error", "every": 2}],
        train={
            "steps": 6,
            "generator_updates": 2,
            "checkpoints": {"every": 2, "keep": 9, "best": "fakes/error"},
            **train,
        },
    )


def last(folder: Path) -> Path:
    name = (folder / "checkpoints" / "latest").read_text("utf-8").strip()
    assert name == "step-0000006"
    return folder / "checkpoints" / name


SCRIPT = """
import json, os, sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
import engine_fakes
from ambientkit import Engine, hookimpl

class Kill:
    @hookimpl
    def on_step_end(self, run, report):
        if report.step == 5:
            os.kill(os.getpid(), 9)

engine = Engine(plugins=[engine_fakes], discover=False, cache_dir={cache!r})
engine.run(json.loads({recipe!r}), out={out!r}, device="cpu", precision="fp32", callbacks=[Kill()])
"""


@pytest.mark.parametrize(
    "train",
    [{}, {"accumulate": 2, "batches": "fresh", "ema_decay": None}],
    ids=["shared", "accumulate fresh"],
)
def test_kill_9_and_resume_give_the_bits_of_an_uninterrupted_run(engine, tmp_path, train):
    whole = engine.run(long_run(**train), out=tmp_path / "whole", **CPU)
    script = SCRIPT.format(
        tests=str(Path(__file__).parent),
        cache=str(tmp_path / "cache"),
        recipe=json.dumps(long_run(**train)),
        out=str(tmp_path / "killed"),
    )
    child = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    (folder,) = (tmp_path / "killed" / "tiny").iterdir()
    assert (folder / "checkpoints" / "latest").read_text("utf-8").strip() == "step-0000004"
    watch = Watch()
    resumed = engine.resume(folder, callbacks=[watch], device="cpu")
    assert (watch.first_step, watch.steps, watch.outcomes) == (4, [5, 6], [(6, "finished")])
    one, other = fakes.contents(last(whole.folder)), fakes.contents(last(folder))
    assert {
        "generator.safetensors",
        "discriminator.safetensors",
        "inference.safetensors",
        "state",
    } <= one.keys()
    assert ("average.safetensors" in one) == (train.get("ema_decay", 0) is not None)
    assert fakes.same(one, other)
    assert resumed.figures == whole.figures
    assert resumed.rows == whole.rows


def test_a_resumed_discriminator_is_the_trained_one(engine, tmp_path):
    with pytest.raises(Interrupted):
        engine.run(long_run(), out=tmp_path, callbacks=[StopAt(3, signal.SIGTERM)], **CPU)
    (folder,) = (tmp_path / "tiny").iterdir()
    seen = []

    class Look:
        @hookimpl
        def on_run_start(self, run):
            trainer = next(frame for frame in iterate_trainers())
            seen.append(fakes.weights(trainer.game.discriminator.network))

    def iterate_trainers():
        frame = sys._getframe()
        while frame:
            if type(frame.f_locals.get("self")).__name__ == "Trainer":
                yield frame.f_locals["self"]
            frame = frame.f_back

    engine.resume(folder, callbacks=[Look()], device="cpu")
    kept = fakes.contents(folder / "checkpoints" / "step-0000003")["discriminator.safetensors"]
    assert fakes.same(dict(sorted(seen[0].items())), dict(sorted(kept.items())))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_keeps_a_checkpoint_and_the_rest_is_the_same(engine, tmp_path, number):
    whole = engine.run(long_run(), out=tmp_path / "whole", **CPU)
    watch = Watch()
    with pytest.raises(Interrupted, match="ambientkit resume") as stopped:
        engine.run(long_run(), out=tmp_path / "cut", callbacks=[watch, StopAt(3, number)], **CPU)
    assert stopped.value.exit_code == 128 + number
    assert watch.outcomes == [(3, "interrupted")]
    (folder,) = (tmp_path / "cut" / "tiny").iterdir()
    assert json.loads((folder / "run.json").read_text("utf-8"))["status"] == "interrupted"
    assert (folder / "checkpoints" / "step-0000003").is_dir()
    engine.resume(folder, device="cpu")
    assert fakes.same(fakes.contents(last(whole.folder)), fakes.contents(last(folder)))
    record = json.loads((folder / "run.json").read_text("utf-8"))
    assert (record["status"], record["error"], record["step"]) == ("finished", None, 6)


def test_signal_handlers_are_put_back(engine, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    engine.run(fakes.fidelity_only(), out=tmp_path, **CPU)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_finished_run_resumes_to_itself(engine, tmp_path):
    result = engine.run(fakes.fidelity_only(), out=tmp_path, **CPU)
    before = fakes.contents(result.folder / "checkpoints" / "step-0000002")
    watch = Watch()
    again = engine.resume(result.folder, callbacks=[watch])
    assert again.step == 2
    assert watch.steps == []
    assert fakes.same(before, fakes.contents(result.folder / "checkpoints" / "step-0000002"))


def test_resume_from_an_earlier_checkpoint_goes_the_same_way(engine, tmp_path):
    result = engine.run(long_run(), out=tmp_path, **CPU)
    before = fakes.contents(last(result.folder))
    engine.resume(result.folder, checkpoint="step-0000002", device="cpu")
    assert fakes.same(before, fakes.contents(last(result.folder)))


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "init_from"])
def test_a_run_without_a_checkpoint_begins_with_step_0(engine, tmp_path, caplog, warm):
    recipe = long_run()
    if warm:
        origin = engine.run({**recipe, "seed": 5}, out=tmp_path / "origin", **CPU)
        recipe = long_run(init_from=str(origin.folder))
    whole = engine.run(recipe, out=tmp_path / "whole", **CPU)
    folder = tmp_path / "killed"
    folder.mkdir()
    for name in ("recipe.yaml", "resolved.yaml", "run.json"):  # what there is when the first step begins
        (folder / name).write_bytes((whole.folder / name).read_bytes())
    watch = Watch()
    with caplog.at_level("INFO", "ambientkit"):
        engine.resume(folder, callbacks=[watch], device="cpu")
    assert "has no checkpoint yet: it begins with step 0" in caplog.text
    assert (watch.first_step, watch.steps) == (0, [1, 2, 3, 4, 5, 6])
    assert fakes.same(fakes.contents(last(whole.folder)), fakes.contents(last(folder)))


def test_only_the_latest_checkpoint_may_be_step_0(engine, tmp_path):
    """Who names one wants that one; and what is damaged is not passed over."""
    result = engine.run(fakes.fidelity_only(), out=tmp_path, **CPU)
    (result.folder / "checkpoints" / "step-0000002" / "state.pt").write_bytes(b"torn")
    with pytest.raises(
        RunFolderError, match=r"damaged.*there is no other; remove the folder .*checkpoints, and"
    ):
        engine.resume(result.folder)
    shutil.rmtree(result.folder / "checkpoints")
    with pytest.raises(RunFolderError, match="there is no such checkpoint"):
        engine.resume(result.folder, checkpoint="step-0000002")
    assert engine.resume(result.folder).step == 2


def test_a_kill_before_the_pointer_to_the_best_is_made_good(engine, tmp_path):
    result = engine.run(long_run(), out=tmp_path, **CPU)
    best = result.folder / "checkpoints" / "best"
    right = best.read_text("utf-8")
    best.write_text("step-0000000\n", "utf-8")
    engine.resume(result.folder, checkpoint=right.strip(), device="cpu")
    assert best.read_text("utf-8") == right


# Refused ----------------------------------------------------------------------------------------


@pytest.fixture
def stopped(engine, tmp_path) -> Path:
    """A run that was stopped after step 1 of 3."""
    recipe = fakes.fidelity_only(train={"steps": 3})
    with pytest.raises(Interrupted):
        engine.run(recipe, out=tmp_path / "runs", callbacks=[StopAt(1, signal.SIGTERM)], **CPU)
    (folder,) = (tmp_path / "runs" / "tiny").iterdir()
    return folder


def test_a_changed_recipe_is_refused_with_every_difference(engine, stopped):
    path = stopped / "resolved.yaml"
    resolved = yaml.safe_load(path.read_text("utf-8"))
    resolved["train"]["generator_optimizer"]["lr"] = 0.5
    resolved["measurement"]["size"] = 5
    path.write_text(yaml.safe_dump(resolved), "utf-8")
    with pytest.raises(RunFolderError) as refused:
        engine.resume(stopped)
    assert "measurement.size was 6, is 5" in str(refused.value)
    assert "train.generator_optimizer.lr was 0.0002, is 0.5" in str(refused.value)


def test_a_run_from_before_an_option_was_there_goes_on_with_its_default(engine, stopped):
    resolved, (meta,) = stopped / "resolved.yaml", stopped.glob("checkpoints/step-0000001/meta.json")
    text, told = resolved.read_text("utf-8"), json.loads(meta.read_text("utf-8"))
    del told["recipe"]["train"]["share_forward"]
    meta.write_text(json.dumps(told), "utf-8")
    assert text.count("  share_forward: false\n") == 1
    resolved.write_text(text.replace("  share_forward: false\n", ""), "utf-8")
    assert engine.resume(stopped).step == run_folder.read_run(stopped)["total_steps"]


def test_figures_that_an_earlier_version_took_are_kept(engine, tmp_path, monkeypatch):
    """It kept them by name alone."""
    done = engine.run(fakes.tiny(metrics=[{"kind": "fakes/error"}]), out=tmp_path, **CPU)
    read = checkpoints.read_state

    def earlier(folder):
        state = read(folder)
        del state["summaries"], state["earlier"]
        return {**state, "figures": dict(done.figures)}

    monkeypatch.setattr(checkpoints, "read_state", earlier)
    resumed = engine.resume(done.folder, device="cpu")
    assert resumed.figures == done.figures != {}


def test_another_plugin_version_is_refused(engine, stopped, tmp_path, monkeypatch):
    monkeypatch.setattr(fakes, "__version__", "7.1", raising=False)
    newer = Engine(plugins=[fakes], discover=False, cache_dir=tmp_path / "cache")
    with pytest.raises(RunFolderError, match=r"plugin engine_fakes: the run has , here is 7\.1; install"):
        newer.resume(stopped)


@pytest.mark.parametrize("name", ["../../other", "/etc", "checkpoints/step-0000001", "..", "", None])
def test_a_checkpoint_is_named_and_never_a_path(stopped, name):
    with pytest.raises(RunFolderError, match="is no checkpoint's name; give latest, best"):
        checkpoints.find(stopped, name)


def test_a_plugin_that_the_run_was_not_made_with_is_a_change():
    record = {"plugins": [{"namespace": "fog", "name": "components", "version": "1.0"}]}
    now = [{"namespace": "fog", "name": "fog", "version": "sha256:ab"}]
    assert changed_plugins(record, now) == ["plugin fog: the run has 1.0, here is sha256:ab"]
    with pytest.raises(RunFolderError, match="sha256:ab"):
        require_same_code(Path("run"), record, now)


def test_other_data_are_refused(engine, tmp_path):
    source = {"kind": "fakes/numbers", "count": 12}
    result = engine.run(
        fakes.fidelity_only(data={"source": source, "image_size": None}), out=tmp_path / "runs", **CPU
    )
    record = json.loads((result.folder / "run.json").read_text("utf-8"))
    record["data"]["fingerprint"] = "as it was"
    (result.folder / "run.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(RunFolderError, match=r"data\.fingerprint was 'as it was', is 'numbers"):
        engine.resume(result.folder)


def test_a_damaged_checkpoint_is_refused_and_the_sound_one_named(engine, tmp_path):
    result = engine.run(
        fakes.fidelity_only(train={"checkpoints": {"every": 1}}), out=tmp_path, callbacks=(), **CPU
    )
    weights = result.folder / "checkpoints" / "step-0000002" / "generator.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(RunFolderError, match=r"generator\.safetensors changed.*step-0000001: name it with"):
        engine.resume(result.folder)
    engine.resume(result.folder, checkpoint="step-0000001", device="cpu")
    assert engine.resume(result.folder).step == 2, "it was written anew"


def test_a_run_without_checkpoint_or_run_json_is_refused(engine, stopped, tmp_path):
    with pytest.raises(RunFolderError, match=r"not a run folder"):
        engine.resume(tmp_path)
    with pytest.raises(
        RunFolderError, match=r"there is no such checkpoint; the newest sound one is step-0000001"
    ):
        engine.resume(stopped, checkpoint="step-0000009")


def test_a_refused_resume_changes_nothing(engine, stopped):
    path = stopped / "checkpoints" / "step-0000001" / "state.pt"
    path.write_bytes(b"torn")
    before = {file: file.read_bytes() for file in sorted(stopped.rglob("*")) if file.is_file()}
    with pytest.raises(RunFolderError):
        engine.resume(stopped)
    assert before == {file: file.read_bytes() for file in sorted(stopped.rglob("*")) if file.is_file()}


def test_differences_are_named_by_path():
    then = {"a": 1, "b": {"c": [1, 2], "gone": 0}}
    now = {"a": 1, "b": {"c": [1, 3]}, "new": True}
    assert list(differences(then, now)) == [
        "b.c was [1, 2], is [1, 3]",
        "b.gone was 0, is None",
        "new was None, is True",
    ]
    assert list(differences(then, then)) == []


def test_the_seconds_of_all_attempts_are_added_up(engine, tiny, tmp_path):
    folder = engine.run(tiny(), out=tmp_path, device="cpu").folder
    run_folder.update_run(folder, status="interrupted", seconds=100.0)
    assert engine.resume(folder, device="cpu").seconds > 100
    assert 100 <= run_folder.read_run(folder)["seconds"] < 150
