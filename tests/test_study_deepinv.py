"""The study's row by deepinv: its trainer as shipped, on our measurements, and how its figures are shown."""

from __future__ import annotations

import copy
import importlib
import json
import sys

import pytest
import torch
from deepinv_cases import needs_deepinv
from docs_tables import ROOT

from ambientkit import Engine, Measured


@pytest.fixture(scope="module")
def study():
    sys.path.insert(0, str(ROOT / "benchmarks/study"))
    yield importlib.import_module
    sys.path.remove(str(ROOT / "benchmarks/study"))


@pytest.fixture(scope="module")
def row(study):
    return study("deepinv_uair")


@pytest.fixture
def prepared(row, tmp_path, monkeypatch):
    monkeypatch.setenv("AMBIENTKIT_CACHE", str(tmp_path / "cache"))
    _, prepared = row.prepared_for(
        "data.source.kind=toy_faces",
        "data.source.count=40",
        "data.image_size=[32, 32]",
        "data.holdout=8",
        "measurement.size=14",
        "further.measurement.size=14",
        "generator.width=4",
        "generator.depth=2",
        "train.batch_size=4",
    )
    return prepared


def test_it_has_the_data_and_the_generator_of_the_rows_beside_it(row):
    engine = Engine(discover=False)
    own, other = (engine.load(name).resolved() for name in (row.RECIPE, "folder_held_out"))
    for section in ("seed", "data", "measurement", "generator", "composite"):
        assert own[section] == other[section]
    assert own["train"]["batch_size"] == other["train"]["batch_size"] == 16


def test_what_is_hidden_is_read_from_the_zeros(row, prepared):
    batch = row.Measurements(prepared.batches, 2)[1]
    real = prepared.batches(1)
    assert torch.equal(row.seen_in(batch["y"]), real.observed) and not real.observed.all()
    network = prepared.game.generator.network
    with torch.no_grad():
        theirs = row.Generator(network, row.Gradients())(batch["y"])
        assert torch.equal(theirs, network(Measured(real.y, real.observed), None))


@needs_deepinv
def test_hidden_pixels_get_no_gradient_and_would_under_other_masks(row, prepared):
    from deepinv.loss.adversarial import UAIRGeneratorLoss
    from deepinv.physics import Inpainting

    before = copy.deepcopy(prepared.game.generator.network.state_dict())
    size = row.train(prepared, 3, verbose=False).facts()
    assert size["hidden, all steps"] == 0 < size["observed, first step"]
    after = prepared.game.generator.network.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)

    batch, gradients = row.Measurements(prepared.batches, 4)[3], row.Gradients()
    network = row.Generator(prepared.game.generator.network, gradients)
    physics = Inpainting(prepared.data.image_shape, mask=batch["params"]["mask"].roll(1, 0))
    y_hat = physics.A(network(batch["y"], physics))
    critic = row.Discriminator(prepared.game.discriminator.network)
    UAIRGeneratorLoss(D=critic)(batch["y"], y_hat, physics, network).backward()
    assert max(gradients.hidden) > 0  # so the probe sees a gradient where there is one


@needs_deepinv
def test_figures_are_taken_and_shown_as_a_row(row, study, prepared, tmp_path):
    tables = study("tables")
    engine = Engine(discover=False)
    folder = tmp_path / "study" / row.NAME
    untrained = copy.deepcopy(prepared.game.generator.network)
    facts = row.trained(prepared, 2, folder)
    assert row.trained(prepared, 2, folder) == facts  # not done again
    row.write(row.figures(engine, prepared, untrained, facts), folder)
    found = json.loads((folder / "evaluation.json").read_text("utf-8"))
    assert list(found["rows"]) == [row.NAME, f"{row.NAME}, as made", f"{row.NAME}, untrained"]
    assert list(found["runs"]) == list(found["rows"])
    shown = tables.of_group(folder.parent, {"rows": [], "other_libraries": [row.NAME]})
    assert "hidden PSNR, dB" in shown
    assert f"| `{row.NAME}` | 2 | 0 |" in shown and f"| {row.NAME}, untrained |" in shown
    assert f"`{row.NAME}` less `{row.NAME}, untrained`" in tables.differences(folder.parent)
