"""A run folder that an earlier version left (tests/fixtures/make_run.py) opens, and goes on, in this one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from docs_tables import ROOT
from safetensors.torch import load_file

from ambientkit import Engine, checkpoints, run_folder
from ambientkit.errors import RunFolderError

pytestmark = pytest.mark.smoke

KEPT = ROOT / "tests/fixtures/run-format-1"
MADE = [0.00187, 0.00166, -0.00284]  # what the version that left it made of a pixel of the picture below


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return Path(shutil.copytree(KEPT, tmp_path / "kept"))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(discover=False, cache_dir=tmp_path / "cache")


def picture() -> tuple[torch.Tensor, torch.Tensor]:
    observed = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    observed[..., 4:10, 5:11] = False
    return torch.linspace(-1, 1, 3 * 256).view(1, 3, 16, 16), observed


def test_it_completes_pictures_as_it_did(engine, kept):
    images, observed = picture()
    completed = engine.open(kept, device="cpu").complete(images, observed)
    assert completed[0, :, 6, 7].tolist() == pytest.approx(MADE, abs=1e-4)
    assert torch.equal(torch.where(observed, completed, 0), torch.where(observed, images, 0))


def test_it_goes_on_from_its_checkpoint_to_its_own_end(engine, kept):
    wanted = load_file(kept / "checkpoints/step-0000004/generator.safetensors")
    result = engine.resume(kept, checkpoint="step-0000002", device="cpu")
    assert result.step == 4
    found = load_file(kept / "checkpoints/step-0000004/generator.safetensors")
    assert found.keys() == wanted.keys() and len(wanted) > 20
    for (
        name,
        value,
    ) in found.items():  # nearly: spectral norm was taken once a pass then, and is once an update
        torch.testing.assert_close(value, wanted[name], rtol=1e-3, atol=1e-4)


def test_it_is_evaluated_and_listed(engine, kept):
    found = engine.evaluate(kept, metrics=["hidden_psnr"], device="cpu")
    assert next(iter(found.rows.values()))["hidden_psnr"].value > 5
    (listed,) = run_folder.list_runs(kept.parent)
    assert (listed.name, listed.status, listed.step) == ("kept", "finished", 4)


@pytest.mark.parametrize("place", ["run.json", "checkpoints/step-0000004/meta.json"])
def test_a_newer_format_is_refused_and_named(engine, kept, place):
    file = kept / place
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "format": 2}), "utf-8")
    with pytest.raises(RunFolderError, match="has format 2; this version reads format 1"):
        engine.open(kept, device="cpu")


def test_the_formats_are_those_of_the_fixture():
    assert run_folder.FORMAT == checkpoints.FORMAT == 1, "keep a run of the new format as a fixture too"
