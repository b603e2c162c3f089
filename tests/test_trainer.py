"""The loop: order of updates, evaluation, checkpoints, callbacks, and ends."""

from __future__ import annotations

import json
from dataclasses import replace

import engine_fakes as fakes
import pytest
import torch
from ambientkit_plugins.masks.sensors import BlockPatch

from ambientkit import hookimpl, use
from ambientkit.errors import NonFiniteError, PluginError, RunFolderError
from ambientkit.group import Group
from ambientkit.optim import batch_norms

pytestmark = pytest.mark.smoke

CPU = {"device": "cpu", "precision": "fp32"}


class Diary:
    """Every hook that was called."""

    def __init__(self) -> None:
        self.lines: list[tuple] = []
        self.terms: dict[str, float] = {}

    @hookimpl
    def on_run_start(self, run):
        self.lines.append(("start", run.name, run.total_steps, run.first_step))

    @hookimpl
    def on_step_end(self, run, report):
        self.lines.append(("step", report.step))
        self.terms = report.terms()

    @hookimpl
    def on_evaluation(self, run, step, figures):
        assert figures["mean_error"] > 0
        self.lines.append(("evaluation", step))

    @hookimpl
    def on_checkpoint(self, run, step, folder):
        assert (folder / "meta.json").is_file()
        self.lines.append(("checkpoint", step))

    @hookimpl
    def on_run_end(self, run, step, outcome):
        self.lines.append(("end", step, outcome))


def checkpoint_names(folder) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_hooks_come_in_the_order_of_the_hook_page(engine, tiny, tmp_path):
    diary = Diary()
    recipe = tiny(
        metrics=[{"kind": "fakes/error", "every": 2}], train={"steps": 3, "checkpoints": {"every": 2}}
    )
    engine.run(recipe, out=tmp_path, callbacks=[diary], **CPU)
    assert diary.lines == [
        ("start", "tiny", 3, 0),
        ("evaluation", 0),
        ("step", 1),
        ("step", 2),
        ("evaluation", 2),
        ("checkpoint", 2),
        ("step", 3),
        ("evaluation", 3),
        ("checkpoint", 3),
        ("end", 3, "finished"),
    ]
    assert diary.terms.keys() == {"discriminator/real", "discriminator/fake", "generator/adversarial"}
    assert all(isinstance(value, float) for value in diary.terms.values())


@pytest.mark.parametrize(("batches", "counters"), [("shared", [0, 1]), ("fresh", [1, 2, 3, 5, 6, 7])])
def test_updates_of_a_step_share_a_batch_or_have_their_own(ready, monkeypatch, batches, counters):
    recipe = fakes.fidelity_only(train={"generator_updates": 3, "batches": batches})  # and no discriminator
    trainer = ready(recipe).trainer
    asked, thetas = [], []
    gather = type(trainer.batches).__call__
    monkeypatch.setattr(
        type(trainer.batches),
        "__call__",
        lambda self, counter: asked.append(counter) or gather(self, counter),
    )
    dice = trainer.dice
    trainer.dice = lambda *counters: thetas.append(dice(*counters)) or thetas[-1]
    for trainer.step in (0, 1):
        trainer.train_step()
    assert asked == counters
    corners = [tuple(draws.theta_fresh["corner"].flatten().tolist()) for draws in thetas]
    assert len(set(corners)) == len(corners) == 6, "theta' is always fresh"


def test_epochs_become_steps(ready, tiny):
    def steps(epochs):
        return ready(tiny(train={"steps": None, "epochs": epochs})).prepared.total_steps

    assert (steps(1), steps(2.5), steps(0.001)) == (8, 20, 1)


def test_the_last_checkpoints_and_the_best_are_kept(engine, tiny, tmp_path):
    recipe = tiny(
        metrics=[{"kind": "fakes/error", "every": 1, "rises": False}],
        train={"steps": 5, "checkpoints": {"every": 1, "keep": 2, "best": "fakes/error"}},
    )
    diary = Diary()

    class Keep:
        @hookimpl
        def on_evaluation(self, run, step, figures):
            kept[step] = figures["mean_error"]

    kept: dict[int, float] = {}
    result = engine.run(recipe, out=tmp_path, callbacks=[diary, Keep()], **CPU)
    best = min(sorted(kept)[1:], key=kept.__getitem__)
    assert len(kept) == 6
    names = {"best", "latest", f"step-{best:07d}", "step-0000004", "step-0000005"}
    assert set(checkpoint_names(result.folder)) == names
    assert (result.folder / "checkpoints" / "best").read_text("utf-8").strip() == f"step-{best:07d}"
    written = [line for line in diary.lines if line[0] == "checkpoint"]
    assert len(written) == len(set(written)), "a step's checkpoint is written once"
    engine.open(result.folder, checkpoint="best")


def test_a_score_that_rises_is_best_at_its_highest(engine, tiny, tmp_path):
    recipe = tiny(
        metrics=[{"kind": "fakes/error", "every": 1, "rises": True}],
        train={"steps": 3, "checkpoints": {"best": "fakes/error"}},
    )
    errors: dict[int, float] = {}

    class Keep:
        @hookimpl
        def on_evaluation(self, run, step, figures):
            errors[step] = figures["mean_error"]

    result = engine.run(recipe, out=tmp_path, callbacks=[Keep()], **CPU)
    best = max(sorted(errors)[1:], key=errors.__getitem__)
    assert (result.folder / "checkpoints" / "best").read_text("utf-8").strip() == f"step-{best:07d}"


def test_an_untrained_network_is_never_the_best(engine, tiny, tmp_path, monkeypatch):
    scores = iter([1.0, 2.0])  # of steps 1 and 2: the untrained one's is not asked for
    monkeypatch.setattr(fakes.Error, "score", lambda self, summary: next(scores, 0.0))
    metrics = [{"kind": "fakes/error", "every": 1}]
    recipe = tiny(metrics=metrics, train={"steps": 2, "checkpoints": {"best": "fakes/error"}})
    folder = engine.run(recipe, out=tmp_path, **CPU).folder
    assert (folder / "checkpoints" / "best").read_text("utf-8").strip() == "step-0000002"


def test_a_score_that_is_not_finite_is_never_the_best(engine, tiny, tmp_path, monkeypatch):
    scores = iter([float("inf"), 1.0, float("nan"), 2.0, float("inf")])
    monkeypatch.setattr(fakes.Error, "score", lambda self, summary: next(scores))
    metrics = [{"kind": "fakes/error", "every": 1}]
    recipe = tiny(metrics=metrics, train={"steps": 5, "checkpoints": {"best": "fakes/error"}})
    folder = engine.run(recipe, out=tmp_path, **CPU).folder
    assert (folder / "checkpoints" / "best").read_text("utf-8").strip() == "step-0000004"


def test_a_term_that_is_not_finite_stops_the_run_names_it_and_keeps_a_checkpoint(engine, tmp_path):
    recipe = fakes.fidelity_only(fidelity=[{"kind": "fakes/broken", "after": 2}], train={"steps": 9})
    diary = Diary()
    with pytest.raises(NonFiniteError, match=r"^step 3: the term 'generator/fakes/broken/oops' became nan"):
        engine.run(recipe, out=tmp_path, callbacks=[diary], **CPU)
    (folder,) = (tmp_path / "tiny").iterdir()
    assert diary.lines[-1] == ("end", 2, "failed")
    assert checkpoint_names(folder) == ["latest", "step-0000002"]
    record = json.loads((folder / "run.json").read_text("utf-8"))
    assert (record["status"], record["step"]) == ("failed", 2)
    assert "step 3: the term" in record["error"]
    assert "step 3: the term" in (folder / "log.txt").read_text("utf-8")
    engine.open(folder)


def test_a_gradient_that_is_not_finite_stops_the_run_too_though_every_term_is_finite(
    engine, tmp_path, monkeypatch
):
    calls: list[int] = []

    def steep(self, trip, restore, measure):
        calls.append(1)
        value = trip.made.square().mean()
        return {"pull": value if len(calls) < 3 else value + (trip.made * 0).abs().sqrt().sum()}

    monkeypatch.setattr(fakes.Pull, "terms", steep)
    with pytest.raises(
        NonFiniteError, match=r"^step 3: the gradient of Net became nan; .*Most likely a rate"
    ):
        engine.run(fakes.fidelity_only(train={"steps": 9}), out=tmp_path, **CPU)
    (folder,) = (tmp_path / "tiny").iterdir()
    weights = fakes.contents(folder / "checkpoints" / "step-0000002")["generator.safetensors"]
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_divergence_is_told_even_where_the_last_checkpoint_is_damaged(engine, tmp_path):
    recipe = fakes.fidelity_only(
        fidelity=[{"kind": "fakes/broken", "after": 3}], train={"steps": 9, "checkpoints": {"every": 2}}
    )

    class Damage:
        @hookimpl
        def on_checkpoint(self, run, folder):
            (folder / "state.pt").write_bytes(b"torn")

    with pytest.raises(NonFiniteError, match=r"^step 4: the term"):
        engine.run(recipe, out=tmp_path, callbacks=[Damage()], **CPU)


def test_divergence_does_not_write_over_a_sound_checkpoint(engine, tmp_path):
    """In the failing step the discriminator may have moved already: its weights are not those of the step."""
    recipe = fakes.fidelity_only(
        discriminator={"kind": "fakes/critic"},
        objective={"kind": "hinge"},
        fidelity=[{"kind": "fakes/broken", "after": 2}],
        train={"steps": 9, "checkpoints": {"every": 1}},
    )
    diary = Diary()
    with pytest.raises(NonFiniteError):
        engine.run(recipe, out=tmp_path, callbacks=[diary], **CPU)
    assert [line for line in diary.lines if line[0] == "checkpoint"] == [("checkpoint", 1), ("checkpoint", 2)]


def test_a_sensor_that_draws_once_for_all_pictures_is_told(engine, tmp_path, monkeypatch):
    """Real ones have a theta each; fakes that shared one would have another law, and train all the same."""
    honest = BlockPatch.sample
    monkeypatch.setattr(
        BlockPatch, "sample", lambda self, n, *rest: {k: v[:1] for k, v in honest(self, n, *rest).items()}
    )
    with pytest.raises(
        PluginError, match=r"BlockPatch.*: its 'corner' is a tensor \(1, .* for 2 pictures.*a draw for each"
    ):
        engine.run(fakes.tiny(), out=tmp_path, **CPU)


# Batch norm under a further measurement ---------------------------------------------------------


def test_statistics_for_use_are_those_of_single_holes(ready, tiny):
    trainer = ready(tiny(further={**fakes.FURTHER, "probability": 1.0})).trainer
    for _ in range(2):
        trainer.train_step()
        trainer.step += 1
        trainer.average.update(trainer.game.generator.network, trainer.step)
    before = fakes.weights(trainer.game.generator.network)
    used = trainer.inference()
    average = trainer.average.network
    assert fakes.same(before, fakes.weights(trainer.game.generator.network))
    assert all(map(torch.equal, used.parameters(), average.parameters()))
    for mine, theirs in zip(batch_norms(used), batch_norms(average), strict=True):
        assert not torch.equal(mine.running_mean, theirs.running_mean)
    mean, variance = by_hand(trainer)
    first = batch_norms(used)[0]
    torch.testing.assert_close(first.running_mean, mean)
    torch.testing.assert_close(first.running_var, variance)
    assert trainer.inference() is used, "it is made once a step"


TWIN_WITH_BATCH_NORM = {
    "measurement": {"kind": "identity"},
    "further": {**fakes.FURTHER, "probability": 1.0, "completed_first": True},
    "evaluation": {"measurement": fakes.FURTHER["measurement"]},
}


def test_statistics_for_use_move_none_of_the_networks(ready, tiny):
    """Pictures that are filled first, to be hidden further, go through a copy too."""
    trainer = ready(tiny(**TWIN_WITH_BATCH_NORM)).trainer
    trainer.advance()
    networks = (trainer.game.generator.network, trainer.average.network)
    before = [fakes.weights(network) for network in networks]
    trainer.inference()
    assert fakes.same(before, [fakes.weights(network) for network in networks])


def test_the_first_of_two_processes_estimates_what_one_alone_would(ready, tiny, tmp_path):
    found = []
    for group in (Group(), Group(0, 2)):
        trainer = ready(tiny(**TWIN_WITH_BATCH_NORM)).trainer
        trainer.game.machine = replace(trainer.game.machine, group=group)
        found.append(fakes.weights(trainer.inference()))
    assert fakes.same(*found)


def by_hand(trainer) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance after the first layer, of what was measured, over the batches of an epoch."""
    layer = trainer.average.network.layers[0]
    outputs = []
    with torch.no_grad():
        for counter in range(trainer.batches.per_epoch):
            real = trainer.batches(counter)
            outputs.append(layer(torch.cat([real.y, (~real.observed).float()], 1)))
    means = torch.stack([output.mean((0, 2, 3)) for output in outputs])
    variances = torch.stack([output.var((0, 2, 3)) for output in outputs])
    return means.mean(0), variances.mean(0)


def test_no_more_batches_are_used_than_needed(ready, tiny, monkeypatch):
    monkeypatch.setattr(use, "REESTIMATION_BATCHES", 3)
    trainer = ready(tiny(further=fakes.FURTHER)).trainer
    asked = []
    gather = type(trainer.batches).__call__
    monkeypatch.setattr(
        type(trainer.batches),
        "__call__",
        lambda self, counter: asked.append(counter) or gather(self, counter),
    )
    trainer.inference()
    assert asked == [0, 1, 2]


def test_without_a_further_measurement_the_average_is_used_as_it_is(ready, tiny):
    trainer = ready(tiny()).trainer
    assert trainer.inference() is trainer.average.network
    bare = ready(tiny(train={"ema_decay": None})).trainer
    assert bare.inference() is not bare.game.generator.network
    assert not bare.inference().training


def test_samples_without_held_out_pictures_are_training_ones(ready, tiny):
    trainer = ready(tiny(data={"holdout": 0})).trainer
    evaluated = trainer.samples(3)
    assert evaluated.truth is None
    assert torch.equal(evaluated.y, trainer.batches.samples.batch(torch.arange(3), 0).y)
    assert ready(tiny()).trainer.samples(3).truth is not None


# Warm start -------------------------------------------------------------------------------------


def test_a_warm_start_begins_with_the_weights_of_another_run(engine, tiny, tmp_path):
    origin = engine.run(tiny(train={"steps": 3}), out=tmp_path, **CPU)
    kept = fakes.contents(origin.folder / "checkpoints" / "step-0000003")
    recipe = tiny(seed=5, train={"steps": 1, "init_from": str(origin.folder)})
    recipe["train"]["generator_optimizer"] = {"kind": "adam", "lr": 1e-12}
    recipe["train"]["discriminator_optimizer"] = {"kind": "adam", "lr": 1e-12}
    warm = engine.run(recipe, out=tmp_path, **CPU)
    found = fakes.contents(warm.folder / "checkpoints" / "step-0000001")
    for network in ("generator.safetensors", "discriminator.safetensors"):
        for name, value in kept[network].items():
            if name.endswith(("weight", "bias", "original")):
                torch.testing.assert_close(found[network][name], value, atol=1e-6, rtol=0)
    average = found["average.safetensors"]["layers.0.weight"]
    torch.testing.assert_close(average, kept["generator.safetensors"]["layers.0.weight"], atol=1e-6, rtol=0)
    assert found["state"]["step"] == 1


@pytest.mark.parametrize("fault", ["shape", "missing"])
def test_a_warm_start_that_does_not_fit_is_refused_and_leaves_no_run(engine, tiny, tmp_path, fault):
    origin = engine.run(tiny(), out=tmp_path / "origin", **CPU)
    where = origin.folder if fault == "shape" else tmp_path / "nowhere"
    recipe = tiny(generator={"kind": "glcic", "width": 6}, train={"init_from": str(where)})
    message = "has shape" if fault == "shape" else "no such checkpoint"
    with pytest.raises(RunFolderError, match=message):
        engine.run(recipe, out=tmp_path / "runs", **CPU)
    assert list((tmp_path / "runs" / "tiny").iterdir()) == []


# Networks that do not fit -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("shape", r"the generator returned \(1, 3, 15, 16\) for pictures of \(3, 16, 16\)"),
        ("raise", r"the generator does not accept the data: KeyError\('no such thing'\) \(\w+, .*\.py:\d+\)"),
    ],
)
def test_a_network_that_does_not_fit_is_found_before_the_run(engine, tmp_path, bad, message):
    recipe = fakes.fidelity_only(generator={"kind": "fakes/net", "bad": bad})
    with pytest.raises(PluginError, match=message):
        engine.run(recipe, out=tmp_path / "runs", **CPU)
    assert not (tmp_path / "runs").exists()


def test_batches_of_one_picture_train(ready, tiny):
    trainer = ready(tiny(train={"batch_size": 1})).trainer
    assert len(trainer.train_step()) == 3
