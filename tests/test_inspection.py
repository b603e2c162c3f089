"""The numbers of an inspection, against counting by hand and against what is known of a law."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path
from typing import Any

import engine_fakes
import inspection_fakes
import numpy as np
import pytest
import torch
from engine_recipes import fidelity_only, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from ambientkit import Engine
from ambientkit.assembly import prepare_data
from ambientkit.errors import InputError
from ambientkit.inspecting import masks
from ambientkit.inspecting.masks import Masks, choose_sites, collect, compare, pairs
from ambientkit.inspecting.pictures import GAP, maps_sheet, pictures, samples_sheet, sheet, strips
from ambientkit.inspecting.report import plain
from ambientkit.streams import stream


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(plugins=[engine_fakes, inspection_fakes], discover=False, cache_dir=tmp_path)


def law(kind: str, **options: Any) -> dict[str, Any]:
    return {"kind": "laws/masks", "law": kind, **options}


def recipe(sensor: dict[str, Any], further: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    section = further and {"measurement": further, "probability": 0.7}
    return fidelity_only(measurement=sensor, further=section, composite=False, **changes)


PLAYED = {"discriminator": {"kind": "fakes/critic"}, "objective": {"kind": "hinge"}, "fidelity": []}


def masks_of(observed: torch.Tensor, seed: int = 0) -> Masks:
    found = collect(observed.split(7), seed)
    assert found is not None
    return found


def random_masks(n: int, shape: tuple[int, int, int], rate: float, seed: int) -> torch.Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) < rate


# Masks --------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(1, 30),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6)),
    rate=st.sampled_from([0.05, 0.5, 0.95]),
    seed=st.integers(0, 99),
)
def test_counts_are_those_of_a_loop(n, shape, rate, seed):
    observed = random_masks(n, shape, rate, seed)
    found = masks_of(observed)
    assert torch.equal(found.seen, observed.sum(0))
    assert found.whole == sum(bool(mask.all()) for mask in observed)
    for number, mask in enumerate(observed):
        assert found.hidden[number] == pytest.approx(1 - mask.double().mean().item())
        hidden = ~mask.all(0)
        assert found.across[number] == max(longest(line) for line in hidden.tolist())
        assert found.down[number] == max(longest(line) for line in hidden.T.tolist())


def longest(line: list[bool]) -> int:
    runs = "".join("x" if hidden else " " for hidden in line).split()
    return max(map(len, runs), default=0)


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(1, 40),
    shape=st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 4)),
    rate=st.sampled_from([0.1, 0.4, 0.8]),
    seed=st.integers(0, 99),
    block=st.sampled_from([1, 3, 5, 1024]),
)
def test_pairs_are_those_of_a_loop(n, shape, rate, seed, block):
    observed = random_masks(n, shape, rate, seed)
    found = masks_of(observed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "BLOCK", block)
        patch.setattr(masks, "TOLD", 2.0)
        counted = pairs(found)
    flat = observed.flatten(1)
    never, told, shares = 0, set(), []
    for one, other in combinations(range(flat.shape[1]), 2):
        expected = flat[:, one].sum().item() * flat[:, other].sum().item() / n
        if expected:
            together = int((flat[:, one] & flat[:, other]).sum())
            shares.append(together / n)
            never += together == 0
            if together == 0 and expected >= 2.0:
                told.add((found.place(one), found.place(other)))
    assert (counted.never, counted.told) == (never, len(told))
    assert counted.rarest == pytest.approx(min(shares, default=1.0))
    assert len(counted.nearest) == min(3, len(told)) and set(counted.nearest) <= told
    if told:
        assert apart(*counted.nearest[0]) == pytest.approx(min(apart(*pair) for pair in told))


def apart(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    return math.dist(one[-2:], other[-2:])


def test_of_large_pictures_some_pixels_are_compared_and_it_is_said():
    shape = (1, 80, 70)
    sites = choose_sites(shape, seed=1)
    assert len(sites) == len(sites.unique()) == 4096
    assert {0, 69, 79 * 70, 80 * 70 - 1} <= set(sites.tolist())
    observed = torch.ones(3, *shape, dtype=torch.bool)
    observed[0, :, 0] = False
    observed[1:, :, -1] = False
    counted = pairs(masks_of(observed, seed=1))
    assert (counted.sites, counted.of) == (4096, 5600)
    first, last = ((sites // 70 == row).sum().item() for row in (0, 79))
    assert counted.never == first * last > 0


def test_places_name_the_channel_only_where_channels_are_hidden_apart():
    assert masks_of(random_masks(4, (1, 3, 5), 0.5, 0)).place(7) == (1, 2)
    assert masks_of(random_masks(4, (2, 3, 5), 0.5, 0)).place(22) == (1, 1, 2)


# Two laws -----------------------------------------------------------------------------------------


def drawn(kind: str, seed: int, n: int = 600, **options: Any) -> Masks:
    sensor = inspection_fakes.Masks(inspection_fakes.MasksOptions(law=kind, **options))
    theta = sensor.sample(n, (1, 12, 12), stream(seed, kind))
    return masks_of(sensor.observed(theta, (1, 12, 12)))


LAWS = [("block", {"size": 5}), ("dropout", {"rate": 0.02}), ("dropout", {"rate": 0.5}), ("halves", {})]


@pytest.mark.parametrize(("kind", "options"), LAWS)
def test_one_law_is_not_told_from_itself(kind, options):
    laws = [drawn(kind, seed, **options) for seed in range(8)]
    gaps = [gap for one, other in combinations(laws, 2) for gap in compare(one, other)]
    assert len(gaps) == 28 * 4
    assert not any(gap.differs for gap in gaps)


@pytest.mark.parametrize("few", [5, 24, 100])
def test_few_samples_of_a_law_are_not_told_from_many(few):
    """A corner that 1 of 24 happens to hide is no sign, though it is hidden in 1 of 64 draws."""
    many = drawn("block", 99, n=3000, size=5)
    gaps = [gap for seed in range(12) for gap in compare(drawn("block", seed, n=few, size=5), many)]
    assert len(gaps) == 48
    assert not any(gap.differs for gap in gaps)
    assert compare(drawn("nothing", 0, n=few), many)[0].differs


def test_different_laws_are_told_apart_by_size_rate_and_shape():
    block = drawn("block", 0, size=5)
    smaller = {gap.name: gap for gap in compare(block, drawn("block", 1, size=4))}
    assert smaller["share hidden"].differs and smaller["longest hidden run in a row"].differs
    assert smaller["share hidden"].one == pytest.approx(25 / 144)
    assert smaller["share hidden"].other == pytest.approx(16 / 144)
    rows, pixels = drawn("rows", 2, rate=0.3), drawn("dropout", 2, rate=0.3)
    shaped = {gap.name: gap.differs for gap in compare(rows, pixels)}
    assert not shaped["hidden rate of a pixel"] and shaped["longest hidden run in a row"]
    rate = compare(block, drawn("corner_never", 3, size=5))[0]
    assert rate.differs and rate.place in {(0, 0), (0, 1)}
    assert rate.other == 1.0 > rate.one


# The further measurement --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_further_measurement_of_the_sensors_law_is_no_cause_for_a_warning(engine, seed):
    """Not even where its options are written otherwise."""
    changes = {"data": {"seed": seed}}
    same = engine.inspect(recipe(law("block"), law("block", rate=0.1), **changes), draws=500, samples=1)
    assert len(same.further.gaps) == 4
    assert same.warnings == ()
    equal = engine.inspect(recipe(law("block"), law("block"), **changes), draws=300, samples=1)
    assert equal.further.gaps == () and equal.warnings == ()
    other = engine.inspect(recipe(law("block"), law("block", size=4), **changes), draws=500, samples=1)
    (warning,) = other.warnings
    assert "not of the law of the sensor's" in warning
    assert "share hidden, mean 0.141 against 0.0625" in warning


def test_pixels_that_held_out_never_teaches_are_named(engine):
    """The sensor never shows (0, 0); what hides nothing teaches nothing."""
    found = engine.inspect(recipe(law("halves"), law("dropout", rate=0.0)), draws=300, samples=1)
    assert len(found.further.untaught) == 256
    assert any(
        "none of 300 draws of the further measurement does: (0, 0), (0, 1)" in w for w in found.warnings
    )
    assert found.further.hides_known == 0.0


def test_chances_of_the_further_measurement(engine):
    found = engine.inspect(recipe(law("halves"), law("halves", rate=0.1)), draws=4096, samples=1).further
    assert found.probability == 0.7
    assert found.hides_known == pytest.approx(0.5, abs=0.05)  # the other half, or the hidden one again
    assert found.beside_hole == pytest.approx(0.5, abs=0.05)
    assert found.rate.shape == (1, 16, 16)
    assert (found.rate - 0.5).abs().max() < 0.08


def test_what_lies_beside_a_hole_is_counted_there():
    from ambientkit.inspecting.further import Tally

    observed = torch.ones(3, 1, 6, 6, dtype=torch.bool)
    observed[:2, :, 2, 2] = False
    further = torch.ones_like(observed)
    further[0, :, 3, 3] = False  # touches the hole
    further[1, :, 4, 4] = False  # does not
    tally = Tally()
    tally.add(observed, further)
    assert (tally.any_known, tally.beside, tally.holes) == (2, 1, 2)
    assert tally.target.sum() == 2 and tally.target[0, 3, 3] == 1


def test_whole_pictures_have_no_hole_to_teach(engine):
    found = engine.inspect(recipe({"kind": "identity"}, law("block")), draws=100, samples=1)
    assert found.warnings == () and found.further.beside_hole is None
    assert found.judgement.verdict == "identified" and found.noise is None


# Noise, data, samples -----------------------------------------------------------------------------


def test_noise_is_told_from_what_the_sensor_always_does(engine):
    """y = x / 2 + 0.25 + N(0, 0.1^2), of uniform pictures in [-1, 1]."""
    sensor = {"kind": "laws/grain", "sigma": 0.1}
    noise = engine.inspect(numbers(sensor, composite=False), draws=10, samples=2).noise
    assert noise.of == "8 training pictures"
    assert noise.spread == pytest.approx(0.1, rel=0.03)
    assert noise.signal == pytest.approx(0.5 / math.sqrt(3), rel=0.05)
    assert noise.shift == pytest.approx(math.sqrt(1 / 12 + 1 / 16), rel=0.05)


def test_the_error_of_the_mean_is_not_told_as_a_shift(engine):
    sensor = {"kind": "gaussian_noise", "sigma": 0.5}
    noise = engine.inspect(numbers(sensor, composite=False), draws=10, samples=2).noise
    assert noise.spread == pytest.approx(0.5, rel=0.03)
    assert noise.shift < 0.02 < 0.5 / math.sqrt(64)
    assert noise.signal == pytest.approx(1 / math.sqrt(3), rel=0.05)


def test_noise_is_taken_where_something_is_observed(engine):
    noise = engine.inspect(recipe(law("block", exact=False)), draws=10, samples=1).noise
    assert noise.spread == pytest.approx(0.0, abs=1e-6) and noise.shift > 0.1
    nothing = engine.inspect(recipe(law("nothing", exact=False)), draws=10, samples=1).noise
    assert (nothing.spread, nothing.signal, nothing.shift) == (None, None, None)


def arrived(sensor: dict[str, Any]) -> dict[str, Any]:
    return fidelity_only(
        data={"source": {"kind": "fakes/arrived"}, "image_size": None, "holdout": 0}, measurement=sensor
    )


def test_of_data_that_arrive_measured_their_own_masks_count(engine):
    found = engine.inspect(arrived({"kind": "masks_of_data", "fill": 0.0}), draws=999, samples=2)
    assert found.evidence.among == "24 samples of the data" and found.evidence.masks.n == 24
    assert found.evidence.masks.rate[0, 7, 4:12].eq(0).all()  # rows 0..14 are hidden at times, row 7 always
    assert found.shown.pictures is None and found.about.arrives_measured
    assert not any(gap.differs for gap in found.gaps) and len(found.gaps) == 4
    assert found.warnings == ()
    few = engine.inspect(arrived({"kind": "masks_of_data", "fill": 0.0}), draws=5, samples=2)
    assert few.evidence.masks.n == 5


def test_data_of_another_law_than_the_recipes_sensor_are_told(engine):
    found = engine.inspect(arrived({"kind": "block_patch", "size": 2, "fill": 0.0}), draws=999, samples=2)
    (warning,) = found.warnings
    assert "the data's holes are not of the law of block_patch" in warning
    assert "share hidden, mean 0.25 against 0.0156" in warning
    assert not found.judgement.proven  # what block_patch claims is not of these data


@pytest.mark.parametrize(
    ("whole", "verdict", "said"),
    [
        (20, "identified", "as long as holes do not depend on what is in the pictures"),
        (0, "unknown", "of the law of the data's own holes nothing else is known"),
    ],
)
def test_of_holes_that_nobody_drew_nothing_is_proven(engine, tmp_path, whole, verdict, said):
    hidden = np.zeros((24, 16, 16), bool)
    for number, row in enumerate(range(whole, 24)):
        hidden[row, number % 16, :4] = True
    np.savez(tmp_path / "a.npz", images=np.zeros((24, 16, 16, 3), np.uint8), hidden=hidden)
    wanted = arrived({"kind": "masks_of_data", "fill": 0.0})
    wanted["data"]["source"] = {"kind": "incomplete", "source": str(tmp_path / "a.npz")}
    judgement = engine.inspect(wanted, draws=99, samples=2).judgement
    assert judgement.verdict == verdict and not judgement.proven and said in judgement.reason
    assert "Options.identifiability" not in judgement.reason


def test_samples_are_those_that_training_gets(engine, tmp_path):
    plan = engine.load(recipe(law("block")))
    found = engine.inspect(plan, draws=10, samples=3)
    data, _ = prepare_data(plan, tmp_path)
    stored = data.samples.batch(torch.arange(3), 0)
    assert torch.equal(found.shown.measured.y, stored.y)
    seen = stored.observed.expand_as(stored.y)
    assert torch.equal(found.shown.pictures[seen], stored.y[seen])
    assert not (tmp_path / "nothing").exists()


def test_the_same_figures_each_time_and_no_global_random_state(engine):
    before = torch.get_rng_state()
    first, again = (plain(engine.inspect(recipe(law("dropout")), draws=300, samples=1)) for _ in range(2))
    assert first == again
    assert torch.equal(torch.get_rng_state(), before)
    other = plain(engine.inspect(recipe(law("dropout"), data={"seed": 5}), draws=300, samples=1))
    assert other["observation"] != first["observation"]


def test_progress_is_told(engine):
    told = []
    engine.inspect(recipe(law("block")), draws=300, samples=1, progress=lambda *news: told.append(news))
    assert told == [("drawing masks", 256, 300), ("drawing masks", 300, 300)]


def test_counts_below_one_are_refused(engine):
    for counts in ({"draws": 0}, {"samples": 0}):
        with pytest.raises(InputError, match="at least 1 of each"):
            engine.inspect(recipe(law("block")), **counts)


# As plain data and as pictures --------------------------------------------------------------------


def test_json_says_everything(engine):
    found = engine.inspect(recipe(law("block"), law("block", size=4)), draws=300, samples=1)
    said = json.loads(json.dumps(plain(found), allow_nan=False))
    assert said["inspection"] == 1 and said["recipe"] == "tiny" and said["sensor"] == "laws/masks"
    assert said["image_shape"] == said["measured_shape"] == [3, 16, 16]
    assert said["pictures"] == 32 and said["exact"] and said["random"] and said["noise"] is None
    rates = said["observation"]["observed_rate_map"]
    assert len(rates[0]) == len(rates[0][0]) == 16
    flat = sorted(value for row in rates[0] for value in row)
    told = said["observation"]["observed_rate"]
    assert [told["min"], told["max"]] == pytest.approx([flat[0], flat[-1]], abs=1e-6)
    assert said["observation"]["share_hidden"]["mean"] == pytest.approx(36 / 256)
    assert said["observation"]["pairs"]["sites"] == 256
    assert len(said["observation"]["never_all_seen"]["places"]) >= 4
    assert said["further"]["probability"] == 0.7
    assert [gap["differs"] for gap in said["further"]["against_sensor"]].count(True) >= 3
    assert said["warnings"] == list(found.warnings) and len(said["warnings"]) == 1
    assert (said["verdict"], said["proven"]) == ("lower-order marginals only", False)
    assert said["reason"] == found.judgement.reason


def test_json_of_a_sensor_without_masks(engine):
    found = engine.inspect(numbers({"kind": "laws/grain"}, composite=False), draws=10, samples=1)
    said = json.loads(json.dumps(plain(found), allow_nan=False))
    assert said["observation"] is None and said["further"] is None
    assert set(said["noise"]) == {"spread", "signal", "shift", "of"}


def test_channels_that_are_hidden_apart(engine):
    found = engine.inspect(recipe({"kind": "laws/channels"}), draws=300, samples=1)
    assert found.evidence.masks.rate.shape == (3, 16, 16)
    assert found.evidence.pairs.of == 768
    maps = maps_sheet(found)
    assert maps.shape == (3, 3 * (256 + GAP) + GAP, 256 + 2 * GAP)


@pytest.mark.parametrize(("axes", "shape"), [(1, (16,)), (2, (16, 3)), (4, (2, 3, 16, 16))])
def test_measurements_that_are_no_pictures_are_strips(engine, axes, shape):
    found = engine.inspect(
        recipe({"kind": "laws/sums", "axes": axes}, generator={"kind": "dcgan", "width": 4}, **PLAYED),
        draws=10,
        samples=4,
    )
    assert found.about.measured_shape == shape and found.about.known == ("gain",)
    drawing = samples_sheet(found)
    height = {1: 8 * 4, 2: 16 * 4, 4: 96}[axes]
    width = 64 + GAP
    assert drawing.shape == (3, height + 64 + 3 * GAP, 4 * width + GAP)
    assert maps_sheet(found) is None


def test_tiles():
    grey = pictures(torch.tensor([[[[-1.0, 1.0], [0.0, float("nan")]]]]))
    assert grey[0].shape == (3, 64, 64)
    assert grey[0][0, ::32, ::32].tolist() == [[0, 255], [128, 128]]
    assert pictures(torch.zeros(1, 5, 100, 70))[0].shape == (3, 100, 70)
    constant, spread = strips(torch.zeros(2, 100)), strips(torch.tensor([[0.0, 1.0], [2.0, 4.0]]))
    assert constant[0].shape == (3, 8, 100) and not constant[0].any()
    assert spread[0].shape == (3, 64, 16)
    assert [spread[i][0, 0, ::8].tolist() for i in (0, 1)] == [[0, 64], [128, 255]]
    uneven = sheet([[constant[0], spread[0]], [grey[0]]])
    assert uneven.shape == (3, 64 + 64 + 3 * GAP, 100 + 16 + 3 * GAP)


def test_maps_mark_what_is_never_observed(engine):
    found = engine.inspect(recipe(law("corner_never"), law("block")), draws=300, samples=1)
    maps = maps_sheet(found)
    assert maps.shape == (3, 256 + 2 * GAP, 2 * 256 + 3 * GAP)
    corner, far = maps[:, GAP, GAP], maps[:, 256 + GAP - 1, 256 + GAP - 1]
    assert corner.tolist() == [255, 0, 0]
    assert far[0] == far[1] == far[2] > 200
    assert maps[:, 0, 0].tolist() == [128, 128, 128]
