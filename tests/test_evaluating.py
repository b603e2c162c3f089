"""`evaluate`: rows, intervals, differences, what is left out and what is refused; as an API and as a verb."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import engine_fakes as fakes
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from ambientkit import Engine, Measured, Metric
from ambientkit.assembly import context_of_metrics, held_out_of, open_data
from ambientkit.cli import main
from ambientkit.errors import InputError, RunFolderError
from ambientkit.evaluating.choice import choose_metrics, unfit
from ambientkit.evaluating.evaluate import Blending, _untrained
from ambientkit.evaluating.intervals import Figure, differences, draws, with_intervals
from ambientkit.evaluating.report import sheet, write
from ambientkit.evaluating.wishes import Wishes
from ambientkit.evaluation import Extras

CPU = {"device": "cpu", "precision": "fp32"}
PLAIN = ["hidden_psnr", "hidden_l1", "seam", "colour_step", "saturation"]

# Intervals --------------------------------------------------------------------------------------


class Mean(Metric):
    def per_picture(self, evaluated):
        raise AssertionError("it is given values")

    def summary(self, values):
        return {"mean": float(values["value"].mean())}


class Once(Mean):
    resampled = False


def test_intervals_of_a_mean_are_those_of_theory():
    values = {"value": torch.randn(2_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)}
    found = with_intervals(Mean(), values, draws(2_000, 1_000, seed=0))["mean"]
    half = 1.96 / np.sqrt(2_000)
    assert found.value == pytest.approx(float(values["value"].mean()))
    assert found.low == pytest.approx(found.value - half, abs=half / 5)
    assert found.high == pytest.approx(found.value + half, abs=half / 5)


def test_differences_share_the_luck_of_the_pictures():
    generator = torch.Generator().manual_seed(0)
    luck = 100 * torch.randn(500, generator=generator)
    ours = {"value": luck + 1 + 0.1 * torch.randn(500, generator=generator)}
    redrawn = draws(500, 200, seed=0)
    apart = differences(Mean(), ours, {"value": luck}, redrawn)["mean"]
    assert 0.95 < apart.low < apart.value < apart.high < 1.05
    alone = with_intervals(Mean(), ours, redrawn)["mean"]
    assert alone.high - alone.low > 10


def test_figures_without_a_meaning_when_redrawn_have_no_interval():
    values, redrawn = {"value": torch.arange(4.0)}, draws(4, 10, seed=0)
    assert with_intervals(Once(), values, redrawn) == {"mean": Figure(1.5)}
    assert with_intervals(Mean(), values, []) == {"mean": Figure(1.5)}
    assert differences(Once(), values, values, redrawn) == {"mean": Figure(0.0)}
    unknown = {"value": torch.tensor([1.0, 1.0, 1.0, float("inf")])}
    assert with_intervals(Mean(), unknown, redrawn)["mean"].low is None


def test_pictures_are_redrawn_alike_every_time():
    one, again, other = draws(9, 3, seed=0), draws(9, 3, seed=0), draws(9, 3, seed=1)
    assert all(map(torch.equal, one, again)) and not all(map(torch.equal, one, other))
    assert len(one) == 3 and all(each.shape == (9,) and each.max() < 9 for each in one)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"fills": 1}, "2 or more"),
        ({"bootstrap": -1}, "ask for 100 or more, or for 0"),
        (
            {"bootstrap": 1},
            "too few drawings of the pictures for 95 % intervals; ask for 100 or more",
        ),
        ({"bootstrap": 99}, "ask for 100 or more, or for 0"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(wrong, told):
    with pytest.raises(InputError, match=told):
        Wishes(**wrong)


# Runs -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluated")


@pytest.fixture(scope="module")
def engine(place):
    return Engine(plugins=[fakes], discover=False, cache_dir=place / "cache")


@pytest.fixture(scope="module")
def runs(place, engine):
    """Folders by name: the same run with another seed, on other holes, with a latent, and so on."""
    latent = {"kind": "glcic", "width": 4, "latent_channels": 2, "norm": "none"}
    recipes = {
        "one": fakes.tiny(metrics=[{"kind": "fakes/error", "rises": False}]),
        "two": fakes.tiny(seed=1),
        "elsewhere": fakes.tiny(data={"seed": 5}),
        "other_pictures": fakes.tiny(data={"source": {"kind": "toy_faces", "count": 40, "seed": 3}}),
        "many": fakes.tiny(generator=latent),
        "makes": fakes.tiny(composite=False, generator={"kind": "dcgan", "width": 4, "latent": 5}),
        "noisy": fakes.noisy(data={"holdout": 8}),
        "arrived": fakes.tiny(
            data={"source": {"kind": "fakes/arrived"}, "image_size": None},
            measurement={"kind": "masks_of_data"},
        ),
        "none_held": fakes.tiny(data={"holdout": 0}),
    }
    return {
        name: engine.run(fakes.tiny() | recipe | {"name": name}, out=place, **CPU).folder
        for name, recipe in recipes.items()
    }


def evaluated(engine, folder, *others, wishes=None, metrics=PLAIN, **options):
    wishes = wishes or Wishes(bootstrap=100)
    return engine.evaluate(folder, against=others, metrics=metrics, wishes=wishes, device="cpu", **options)


def test_a_row_has_what_training_said_at_its_end(engine, runs):
    result = engine.evaluate(runs["one"], metrics=["fakes/error", "hidden_psnr"], device="cpu")
    (row,) = result.rows.values()
    record = json.loads((runs["one"] / "run.json").read_text("utf-8"))
    assert row["mean_error"].value == pytest.approx(record["figures"]["final"]["mean_error"])
    assert row["mean_error"].low <= row["mean_error"].value <= row["mean_error"].high
    assert result.facts["pictures"] == 8 and result.facts["step"] == 2 and result.facts["seed"] == 0
    assert result.facts["data"]["fingerprint"] == record["data"]["fingerprint"]


def test_where_nothing_is_known_to_be_hidden_the_measurement_itself_is_the_yardstick(engine, runs, tmp_path):
    found = engine.evaluate(
        runs["noisy"], metrics=["composited_l1"], wishes=Wishes(baselines=True, bootstrap=0), device="cpu"
    )
    assert list(found.rows) == ["noisy/0001-seed0", "as measured", "nature"]
    y, truth = (found.pictures[name].float() for name in ("measured", "truth"))
    assert len(y) == found.facts["pictures"] == 8
    expected = float((y - truth).abs().mean() / 2)
    assert found.rows["as measured"]["composited_l1"].value == pytest.approx(expected, rel=1e-5)
    reasons = {found.left_out[name] for name in ("mean fill", "harmonic fill", "Telea", "biharmonic")}
    assert reasons == {"the sensor does not say which pixels it hides, so there is nothing to fill"}
    write(found, tmp_path)
    with Image.open(tmp_path / "evaluation.png") as picture:
        assert picture.height == 17 * 3 + 1, "the truth, what was measured, and the run: each once"


def test_measurements_of_another_shape_than_pictures_are_no_yardstick(engine, runs, monkeypatch):
    short = lambda self, indices, counter: Measured(torch.zeros(len(indices), 7), None, None)  # noqa: E731
    held = engine._held_out(runs["noisy"], (), "latest", "cpu")
    monkeypatch.setattr(type(held.pictures.samples), "batch", short)
    assert list(_untrained(held, 4, Extras())) == []


def test_runs_and_baselines_stand_side_by_side(engine, runs):
    result = evaluated(engine, runs["one"], runs["two"], wishes=Wishes(baselines=True, bootstrap=100))
    names = [runs[name].parent.name + "/" + runs[name].name for name in ("one", "two")]
    assert list(result.rows)[:2] == names
    assert set(result.rows) >= {*names, "mean fill", "harmonic fill", "nature"}
    assert list(result.differences) == names[1:]
    apart = result.differences[names[1]]["hidden_psnr"]
    values = [result.rows[name]["hidden_psnr"].value for name in names]
    assert apart.value == pytest.approx(values[0] - values[1])
    assert result.rows["mean fill"]["hidden_l1"].value > 0 == result.rows["nature"]["hidden_l1"].value
    again = evaluated(engine, runs["one"], runs["two"], wishes=Wishes(baselines=True, bootstrap=100))
    assert again.plain() == result.plain()


def test_blending_is_judged(engine, runs):
    plain, fitted = (
        next(iter(evaluated(engine, runs["one"], wishes=Wishes(blend=blend, bootstrap=0)).rows.values()))
        for blend in ("none", "poisson")
    )
    assert fitted["colour_step"].value < plain["colour_step"].value
    assert fitted["hidden_psnr"].value != plain["hidden_psnr"].value


def test_fills_are_compared_where_there_is_a_latent(engine, runs):
    found = evaluated(engine, runs["many"], metrics=["diversity"], wishes=Wishes(fills=3, bootstrap=0))
    (row,) = found.rows.values()
    assert row["diversity"].value > 0 and row["diversity_of_error"].value > 0
    with pytest.raises(InputError, match="'diversity': the generator takes no latent"):
        evaluated(engine, runs["one"], metrics=["diversity"])


def test_what_cannot_be_taken_is_left_out_with_its_reason(engine, runs, monkeypatch):
    monkeypatch.setattr("ambientkit.evaluating.choice.ONLY_WHEN_ASKED", frozenset(FEATURES | {"fid"}))
    found = engine.evaluate(runs["arrived"], wishes=Wishes(bootstrap=0), device="cpu")
    (row,) = found.rows.values()
    assert {"colour_step", "saturation"} <= set(row)
    assert found.left_out["hidden_psnr"] == "there are no clean pictures"
    noisy = engine.evaluate(runs["noisy"], wishes=Wishes(baselines=True, bootstrap=0), device="cpu")
    assert noisy.left_out["seam"] == "the sensor does not say which pixels it hides"
    assert "nature" in noisy.rows and "composited_psnr" in noisy.rows["noisy/0001-seed0"]


def test_figures_that_the_pictures_are_too_small_for_are_left_out_with_the_reason(engine, runs):
    held = engine._held_out(runs["one"], (), "latest", "cpu")
    small = replace(held.context, image_shape=(3, 5, 5))
    chosen = choose_metrics(held.plan, engine.plugins, None, small)
    assert "hidden_psnr" in chosen.metrics and not {"hidden_ssim", "composited_ssim"} & set(chosen.metrics)
    assert "pictures of 5x5 are too small for its window" in chosen.left_out["hidden_ssim"]
    with pytest.raises(InputError, match=r"metric 'hidden_ssim': .*pictures of 5x5 are too small"):
        choose_metrics(held.plan, engine.plugins, ["hidden_ssim"], small)


def test_there_is_no_blending_where_the_sensor_hides_nothing_that_it_tells():
    y = torch.zeros(1, 3, 8, 8)
    with pytest.raises(InputError, match="nothing to blend into: the sensor does not say"):
        Blending(lambda measured: (y, y), "poisson")(Measured(y, None))


def test_metrics_are_told_the_shape_of_what_the_held_out_pictures_sensor_delivers(engine):
    plan = engine.load(
        "quickstart",
        *("data.source.count=24", "data.holdout=8", "evaluation.measurement={kind: fourier}"),
        *("metrics=[]", "train.checkpoints.best=null", "composite=false"),
    )
    opened = open_data(plan)
    told = context_of_metrics(opened.context, held_out_of(plan, opened))
    assert opened.context.measured_shape == (3, 32, 32) and told.measured_shape == (6, 32, 32)
    chosen = choose_metrics(plan, engine.plugins, None, told)
    assert "remeasured_kid" in chosen.left_out and "hidden_psnr" not in chosen.metrics
    assert context_of_metrics(told, None) is told


def test_measurements_that_are_no_pictures_in_colour_or_grey_have_no_features(engine, runs):
    """A spectrum is as high and wide as its picture, but its first three channels are no picture."""
    held = engine._held_out(runs["makes"], (), "latest", "cpu")
    spectra = replace(held.context, measured_shape=(6, 16, 16))
    chosen = choose_metrics(held.plan, engine.plugins, None, spectra)
    assert "with 1 or 3 channels, and these have the shape (6, 16, 16)" in chosen.left_out["remeasured_kid"]
    with pytest.raises(InputError, match="metric 'remeasured_fid': features are of pictures with 1 or 3"):
        choose_metrics(held.plan, engine.plugins, ["remeasured_fid"], spectra)


def test_figures_of_measurements_are_left_out_where_held_out_ones_are_vectors(engine):
    plan = engine.load("ambientgan/mnist_block_pixels", "evaluation.measurement={kind: pad_rotate_project}")
    assert unfit(plan, frozenset({"remeasured"})) == "measurements are no pictures"
    assert not unfit(engine.load("ambientgan/mnist_block_pixels"), frozenset({"remeasured"}))


FEATURES = {"kid", "remeasured_kid", "remeasured_fid", "perceptual"}


def test_a_metric_that_says_nothing_is_left_out_and_told(engine, runs, monkeypatch):
    monkeypatch.setattr(fakes.Error, "summary", lambda self, values: {})
    done = engine.evaluate(runs["one"], metrics=["fakes/error", "hidden_psnr"], device="cpu")
    assert "it has nothing to say of these pictures" in done.left_out["fakes/error"]
    assert "hidden_psnr" not in done.left_out


def test_a_metric_that_does_not_say_that_it_needs_the_truth_is_left_out_where_there_is_none(
    engine, runs, monkeypatch
):
    monkeypatch.setattr(fakes.ErrorOptions, "facts", lambda self: None)
    done = engine.evaluate(runs["arrived"], metrics=["fakes/error"], device="cpu")
    assert "it has nothing to say of these pictures" in done.left_out["fakes/error"]


def test_distances_of_measured_completions_are_taken_of_what_arrives_incomplete(engine, runs):
    pytest.importorskip("efficientnet_lite_pytorch", reason="ambientkit[features] is not installed")
    found = evaluated(engine, runs["arrived"], metrics=["remeasured_kid"], wishes=Wishes(bootstrap=0))
    (row,) = found.rows.values()
    assert np.isfinite(row["remeasured_kid_efficientnet_lite0"].value)
    with pytest.raises(InputError, match="'kid': there are no clean pictures"):
        evaluated(engine, runs["arrived"], metrics=["kid"])


def test_generated_pictures_are_judged_as_sets(engine, runs):
    pytest.importorskip("efficientnet_lite_pytorch", reason="ambientkit[features] is not installed")
    found = evaluated(engine, runs["makes"], metrics=["kid"], wishes=Wishes(True, bootstrap=0))
    assert found.rows["makes/0001-seed0"]["kid_efficientnet_lite0"].value > 0
    assert set(found.rows) == {"makes/0001-seed0", "nature"}
    with pytest.raises(InputError, match="the generator completes nothing"):
        evaluated(engine, runs["makes"], metrics=["seam"])


@pytest.mark.parametrize(
    ("name", "others", "options", "error", "told"),
    [
        ("one", ["elsewhere"], {}, InputError, "other holes"),
        ("one", ["other_pictures"], {}, InputError, "other contents"),
        ("none_held", [], {}, InputError, "held out no pictures"),
        ("one", [], {"metrics": ["hiden_psnr"]}, InputError, "did you mean 'hidden_psnr'"),
        ("one", [], {"overrides": ["train.steps=3"]}, InputError, "nothing but data.source.KEY=VALUE"),
        ("one", [], {"overrides": ["data.source.count=41"]}, RunFolderError, "has changed since"),
        ("one", [], {"checkpoint": "best"}, RunFolderError, "best"),
    ],
)
def test_what_cannot_be_compared_is_refused(engine, runs, name, others, options, error, told):
    overrides = options.pop("overrides", [])
    with pytest.raises(error, match=told):
        engine.evaluate(
            runs[name], *overrides, **{"against": [runs[each] for each in others], "device": "cpu", **options}
        )


def test_runs_of_one_name_in_two_places_are_told_apart(engine, tmp_path):
    """One would stand in the row of the other, and the difference would be 0."""
    here, there = (
        engine.run(fakes.tiny(name="same", train={"steps": steps}), out=tmp_path / str(steps), **CPU).folder
        for steps in (1, 3)
    )
    alone = [next(iter(evaluated(engine, run, metrics=["hidden_l1"]).rows.values())) for run in (here, there)]
    both = evaluated(engine, here, there, metrics=["hidden_l1"])
    assert list(both.rows) == [str(here), str(there)] == list(both.labels)
    values = [row["hidden_l1"].value for row in both.rows.values()]
    assert values == [row["hidden_l1"].value for row in alone] and values[0] != values[1]
    assert both.differences[str(there)]["hidden_l1"].value != 0


def test_the_facts_say_what_each_row_is_of(engine, runs):
    found = evaluated(engine, runs["one"], runs["two"], metrics=["hidden_l1"]).plain()
    assert list(found["runs"]) == list(found["rows"])
    assert list(found["runs"].values()) == [
        {"folder": str(runs[name].resolve()), "step": 2, "seed": seed, "precision": "fp32"}
        for name, seed in (("one", 0), ("two", 1))
    ]


def test_a_run_that_is_given_twice_is_refused(engine, runs, tmp_path):
    """It would be one row, and a difference of 0 from itself."""
    (tmp_path / "link").symlink_to(runs["one"])
    for others in ([runs["one"]], [tmp_path / "link"], [runs["two"], runs["two"]]):
        with pytest.raises(InputError, match="this run is given twice; give --against other runs"):
            evaluated(engine, runs["one"], *others)


@pytest.mark.parametrize(("name", "does"), [("noisy", "restores whole"), ("makes", "makes new")])
def test_pictures_that_keep_nothing_measured_are_not_blended_into_it(engine, runs, name, does):
    """Measured pixels in a new picture would make its figures better than it is."""
    with pytest.raises(InputError, match=f"this run {does} pictures; there is no border to blend"):
        evaluated(engine, runs[name], metrics=None, wishes=Wishes(blend="poisson", bootstrap=0))


# The verb ---------------------------------------------------------------------------------------


def cli(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def shown(place, engine):
    """A run that the built-ins alone can open."""
    folder = engine.run(fakes.tiny(name="shown"), out=place / "shown", **CPU).folder
    done = cli("evaluate", folder, "--baselines", "--metrics", ",".join(PLAIN), "--bootstrap", 100)
    assert done.exit_code == 0, done.output
    return folder, done


def test_the_picture_has_the_grey_levels_of_the_pictures():
    levels = torch.arange(256.0).view(1, 1, 16, 16).expand(1, 3, -1, -1) / 127.5 - 1
    drawn = torch.from_numpy(np.array(sheet({"a": levels, "b": levels})))
    assert torch.equal(drawn[1:17, -17:-1, 0].flatten(), torch.arange(256, dtype=torch.uint8))


def test_the_verb_writes_a_table_and_pictures(shown):
    folder, done = shown
    for part in ("harmonic fill", "nature", "hidden_psnr", "seed 0", "evaluation.png"):
        assert part in done.output
    kept = json.loads((folder / "evaluation/evaluation.json").read_text("utf-8"))
    value, low, high = kept["rows"]["shown/0001-seed0"]["hidden_psnr"]
    assert low <= value <= high
    assert kept["bootstrap"] == 100 and kept["blend"] == "none" and kept["step"] == 2
    with Image.open(folder / "evaluation/evaluation.png") as picture:
        width, height = picture.size
    rows = 2 + len(kept["rows"]) - 1  # truth, measured, and the table but nature, which is the truth
    assert height == 17 * rows + 1 and width > 17 * 8 + 1, "names stand beside the rows"


def test_the_verb_prints_json_and_writes_elsewhere(shown, tmp_path):
    folder, _ = shown
    done = cli(
        "evaluate", folder, "--json", "--metrics", "seam", "--bootstrap", 0, "--out", tmp_path / "here"
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "here/evaluation.json").read_text("utf-8"))
    assert found["rows"]["shown/0001-seed0"]["seam"][1:] == [None, None]


def test_a_table_without_any_figure_is_refused_with_the_reasons(shown, tmp_path, monkeypatch):
    seam = Engine(discover=False).build("metric", "seam")
    monkeypatch.setattr(type(seam), "summary", lambda self, values: {})
    done = cli("evaluate", shown[0], "--metrics", "seam", "--bootstrap", 0, "--out", tmp_path / "here")
    assert done.exit_code == 2 and not (tmp_path / "here").exists()
    assert "no figure can be taken of these pictures: seam: it has nothing to say" in done.stderr


def test_a_fuller_table_is_not_wiped_by_a_shorter_one(shown, tmp_path, caplog):
    folder = shutil.copytree(shown[0], tmp_path / "run")
    place = folder / "evaluation"
    told, grid = ((place / f"evaluation.{kind}").read_bytes() for kind in ("json", "png"))

    def again(*words):
        done = cli("evaluate", folder, "--bootstrap", 0, "--metrics", "seam", *words)
        assert done.exit_code == 0, done.output
        return sorted(path.name for path in place.iterdir())

    names = ["earlier-0001.json", "earlier-0001.png", "evaluation.json", "evaluation.png"]
    assert again() == names and "is kept as earlier-0001.json" in caplog.text
    assert (place / names[0]).read_bytes() == told and (place / names[1]).read_bytes() == grid
    assert again() == names, "the same once more is the same"
    (place / "earlier-0002.png").write_bytes(b"of the user")
    assert {"earlier-0003.json", "earlier-0003.png"} <= set(again("--baselines"))
    assert (place / "earlier-0002.png").read_bytes() == b"of the user"


@pytest.mark.parametrize("name", ["evaluation.json", "evaluation.png"])
def test_another_evaluation_in_the_folder_that_is_given_is_refused_before_computing(
    shown, tmp_path, name, monkeypatch
):
    (tmp_path / name).write_text("of the user")
    monkeypatch.setattr("ambientkit.Engine.evaluate", None)
    done = cli("evaluate", shown[0], "--metrics", "seam", "--out", tmp_path)
    assert done.exit_code == 2 and f"there is {name} in it already; give another --out" in done.output
    assert (tmp_path / name).read_text() == "of the user" and len(list(tmp_path.iterdir())) == 1


def test_mistakes_are_told_without_a_traceback(shown, tmp_path):
    folder, _ = shown
    (tmp_path / "file").write_text("in the way")
    shutil.copytree(folder, tmp_path / "torn")
    (tmp_path / "torn/checkpoints/step-0000002/generator.safetensors").write_bytes(b"torn")
    for words, told in (
        (["evaluate", tmp_path], "no run"),
        (["evaluate", folder, "--bootstrap", 1], "ask for 100 or more, or for 0"),
        (["evaluate", folder, "--metrics", "fid,"], "there is no metric ''"),
        (["evaluate", folder, "--metrics", "seam", "--out", tmp_path / "file/deep"], "give another --out"),
        (["evaluate", tmp_path / "torn", "--metrics", "seam"], "damaged"),
    ):
        done = cli(*words)
        assert done.exit_code == 2, done.output
        assert told in done.output and "Traceback" not in done.output
