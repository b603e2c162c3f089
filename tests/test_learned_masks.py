"""MisGAN in stages: masks as pictures, a network that makes them, and a sensor that hides as it does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ambientkit import Context, Engine
from ambientkit.errors import DataError
from ambientkit.testing import check_component

SIDE = 16
SHAPE = (3, SIDE, SIDE)
CPU = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with incomplete.npz: 256 pictures that each lost one 8x8 block, anywhere."""
    folder = tmp_path_factory.mktemp("misgan")
    dice = np.random.default_rng(0)
    hidden = np.zeros((256, SIDE, SIDE), bool)
    for mask, (top, left) in zip(hidden, dice.integers(0, SIDE - 7, (256, 2)), strict=True):
        mask[top : top + 8, left : left + 8] = True
    images = dice.integers(0, 256, (256, SIDE, SIDE, 3), dtype=np.uint8)
    np.savez(folder / "incomplete.npz", images=images, hidden=hidden)
    return folder


@pytest.fixture(scope="module")
def engine(place):
    return Engine(discover=False, cache_dir=place / "cache")


@pytest.fixture(scope="module")
def masks(place, engine):
    """A run that learnt the masks."""
    return engine.run(
        "misgan_masks",
        f"data.source={{kind: masks_of_incomplete, source: '{place / 'incomplete.npz'}'}}",
        "generator={kind: dcgan, width: 8, latent: 4}",
        "discriminator.width=8",
        "train.steps=400",
        "train.batch_size=16",
        "train.ema_decay=0.9",
        "callbacks=[]",
        out=place / "runs",
        **CPU,
    ).folder


def test_masks_are_white_where_a_pixel_is_known(place, engine):
    source = place / "incomplete.npz"
    built = engine.build("dataset", "masks_of_incomplete", source=source, context=Context())
    pictures = engine.build("dataset", "incomplete", source=source, context=Context())
    found = built.images([0, 63])
    assert found.dtype == torch.uint8 and found.shape == (2, 1, SIDE, SIDE)
    assert torch.equal(found == 255, pictures.measured([0, 63]).observed)
    assert built.keys == pictures.keys and built.fingerprint != pictures.fingerprint
    assert engine.build(
        "dataset", "masks_of_incomplete", source=source, dilate=1, context=Context()
    ).fingerprint not in {built.fingerprint, pictures.fingerprint}


def sensor(engine, masks, **options):
    return engine.build("measurement", "learned_masks", run=masks, context=Context((SIDE, SIDE)), **options)


def test_it_hides_as_the_data_did(engine, masks):
    observed = sensor(engine, masks).observed(
        sensor(engine, masks).sample(200, SHAPE, torch.Generator().manual_seed(0)), SHAPE
    )
    assert observed.shape == (200, 1, SIDE, SIDE) and observed.dtype == torch.bool
    hidden = ~observed[:, 0]
    area = hidden.sum((1, 2)).float()
    assert 32 < area.mean() < 128, "true holes have 64 pixels"
    assert area.min() > 0, "every picture loses something"
    places = torch.arange(SIDE).view(1, SIDE, 1)
    middles = torch.stack([(hidden * axis).sum((1, 2)) / area for axis in (places, places.mT)], 1)
    assert (middles.mean(0) - 7.5).abs().max() < 1.5
    assert middles.std(0).min() > 1, "holes are made in many places; true ones have a deviation of 2.6"


def test_it_keeps_the_contract_of_sensors(engine, masks):
    entry = engine.plugins.require("measurement", "learned_masks")
    options = entry.component.options(run=masks, fill=-0.5)
    never = "every_pixel_is_sometimes_seen"
    waived = {never: "a corner is hidden by both masks of these data"}
    assert check_component(entry, options=options, context=Context((SIDE, SIDE), SHAPE, SHAPE), waived=waived)


def test_an_imputer_learns_with_it_and_goes_on_after_a_stop(place, engine, masks):
    overrides = [
        f"data.source.source={place / 'incomplete.npz'}",
        "data.source.dilate=0",
        "data.holdout=8",
        f"measurement.run={masks}",
        f"further.measurement.run={masks}",
        "generator.width=4",
        "discriminator.width=4",
        "train.steps=2",
        "train.batch_size=4",
    ]
    run = engine.run("misgan_imputer", *overrides, out=place / "runs", **CPU)
    assert run.step == 2 and {"seam", "colour_step"} & set(run.figures)
    again = engine.run("misgan_imputer", *overrides, out=place / "runs", **CPU)
    one, other = (engine.open(each.folder, device="cpu").network.state_dict() for each in (run, again))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_makes_no_masks_is_refused(place, engine, masks, tmp_path):
    with pytest.raises(DataError, match=r"train masks first \(recipes/misgan_masks.yaml\)"):
        sensor(engine, tmp_path)
    completing = engine.run(
        "quickstart",
        *("train.steps=1", "data.source.count=24", "data.holdout=8", "callbacks=[]"),
        out=tmp_path,
        **CPU,
    )
    with pytest.raises(DataError, match="makes no masks"):
        sensor(engine, completing.folder)
    with pytest.raises(DataError, match="makes masks of 16x16, and pictures are 32x32"):
        sensor(engine, masks).sample(1, (3, 32, 32), torch.Generator())


@pytest.fixture
def biased(monkeypatch):
    """Every mask generator opened makes but this value."""
    opened, bias = Engine.open, []

    def untrained(*arguments, **options):
        run = opened(*arguments, **options)
        run.network.register_forward_hook(lambda network, given, made: torch.full_like(made, bias[-1]))
        return run

    monkeypatch.setattr(Engine, "open", untrained)
    return bias.append


def test_a_network_whose_masks_hide_everything_is_refused(engine, masks, biased):
    biased(-9.0)
    with pytest.raises(DataError, match="all of 64 masks that it made hide everything; train it longer"):
        sensor(engine, masks)


def test_one_whose_masks_hide_nothing_is_told_of_for_holes_may_be_rare(engine, masks, biased, caplog):
    """Else fakes are told apart by their masks alone, and a further measurement teaches nothing."""
    biased(9.0)
    sensor(engine, masks)
    told = "none of 64 masks that it made hides anything; unless holes are so rare, train it longer"
    assert told in caplog.text
