"""Programs that need no ambientkit do what the run does."""

from __future__ import annotations

import engine_fakes as fakes
import pytest
import torch
from ambientkit_plugins.glcic.network import Glcic
from torch import nn

from ambientkit import Engine, exporting
from ambientkit.completion import TrainedRun
from ambientkit.errors import InputError, RunError
from ambientkit.exporting import export
from ambientkit.machine import choose

CPU = {"device": "cpu", "precision": "fp32"}
GENERATORS = {
    "glcic": ({"kind": "glcic", "width": 4}, True),
    "resunet": ({"kind": "resunet", "width": 4, "depth": 2, "from_surroundings": True}, False),
    "latent": ({"kind": "unet", "width": 4, "depth": 2, "latent_channels": 1}, True),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(plugins=[fakes], discover=False, cache_dir=tmp_path_factory.mktemp("cache"))


def trained(engine, folder, **changes):
    return engine.run(fakes.tiny(**changes), out=folder, **CPU).folder


@pytest.mark.parametrize("name", GENERATORS)
def test_a_completing_program_is_the_run(engine, tmp_path, name):
    generator, any_size = GENERATORS[name]
    folder = trained(engine, tmp_path, generator=generator)
    written = engine.export(folder, tmp_path / "out" / "program.pt2")
    assert written.any_size == any_size and written.file.is_file()
    program = torch.export.load(written.file).module()
    n, side = (3, 24) if any_size else (3, 16)
    images = torch.rand(n, 3, side, side) * 2 - 1
    hidden = torch.zeros(n, 1, side, side, dtype=torch.bool)
    hidden[..., 3:9, 4:10] = True
    if name == "latent":
        one, other = (
            program(images=images, hidden=hidden, latent=torch.randn(n, 1, side, side)) for _ in range(2)
        )
        assert not torch.equal(one, other)
        assert torch.equal(torch.where(hidden, 0, one), torch.where(hidden, 0, images))
        return
    wanted = engine.open(folder, device="cpu").complete(images, ~hidden, around="all")
    torch.testing.assert_close(program(images=images, hidden=hidden), wanted, rtol=1e-4, atol=1e-4)
    spoilt = torch.where(hidden, torch.nan, images)
    torch.testing.assert_close(program(images=spoilt, hidden=hidden), wanted, rtol=1e-4, atol=1e-4)


def test_a_generating_program_is_the_run(engine, tmp_path):
    folder = trained(engine, tmp_path, composite=False, generator={"kind": "dcgan", "width": 4, "latent": 5})
    written = engine.export(folder, tmp_path / "program.pt2")
    latent = torch.randn(3, 5)
    network = engine.open(folder, device="cpu").network
    with torch.no_grad():
        wanted = network(None, latent)
    torch.testing.assert_close(
        torch.export.load(written.file).module()(latent=latent), wanted, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", GENERATORS)
def test_an_onnx_program_is_the_run_and_says_what_it_takes(engine, tmp_path, name):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    generator, any_size = GENERATORS[name]
    written = engine.export(trained(engine, tmp_path, generator=generator), tmp_path / "program.onnx")
    model = onnx.load(written.file)
    assert [each.name for each in model.graph.input] == list(written.inputs)
    assert [each.name for each in model.graph.output] == ["completed"]
    told = {each.key: each.value for each in model.metadata_props}
    free = {"multiple": str(written.multiple), "smallest": str(2 * written.multiple)}
    assert told == (free if any_size else {"size": "16x16"})
    runtime = pytest.importorskip("onnxruntime")
    n, side = (3, 24) if any_size else (3, 16)
    inputs = {"images": torch.rand(n, 3, side, side) * 2 - 1, "hidden": torch.zeros(n, 1, side, side) > 0}
    inputs["hidden"][..., 3:9, 4:10] = True
    if name == "latent":
        inputs["latent"] = torch.randn(n, 1, side, side)
    engine.export(tmp_path / "tiny" / "0001-seed0", tmp_path / "program.pt2")
    wanted = torch.export.load(tmp_path / "program.pt2").module()(**inputs)
    given = {key: value.numpy() for key, value in inputs.items()}
    (found,) = runtime.InferenceSession(written.file).run(["completed"], given)
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=1e-4, atol=1e-4)


def test_folded_norms_are_gone_and_change_nothing():
    network = Glcic(3, width=4).layers.eval()
    for norm in (layer for layer in network if isinstance(layer, nn.BatchNorm2d)):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(1, 4, 16, 16)
    with torch.no_grad():
        wanted = network(x)
        found = exporting.folded(network)(x)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_written_is_refused(engine, tmp_path, monkeypatch):
    folder = trained(engine, tmp_path)
    with pytest.raises(InputError, match=r"\.pt2"):
        engine.export(folder, tmp_path / "program.pth")
    monkeypatch.setattr(exporting, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"onnx, onnxscript.*pip install"):
        engine.export(folder, tmp_path / "program.onnx")
    monkeypatch.setattr(exporting, "_the_same", lambda *_: False)
    with pytest.raises(RunError, match="is not the network"):
        engine.export(folder, tmp_path / "program.pt2")


def test_a_recipe_is_timed_and_nothing_is_kept(engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    speed = engine.bench(fakes.tiny(), steps=2, **CPU)
    assert 0 < speed.fastest <= speed.median <= speed.slowest
    batch, steps = fakes.tiny()["train"]["batch_size"], fakes.tiny()["train"]["steps"]
    assert speed.pictures_per_second == pytest.approx(batch / speed.median)
    assert speed.hours == pytest.approx(steps * speed.median / 3600)
    assert speed.memory > 2**20
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="0 steps"):
        engine.bench(fakes.tiny(), steps=0)


class Backwards(nn.Sequential):
    """Runs its parts in an order of its own, so that no norm may be folded into the convolution before it."""

    def forward(self, x):
        return self[0](self[1](x))


class Odd(nn.Module):
    completes, multiple = True, 1

    def __init__(self):
        super().__init__()
        self.parts = Backwards(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        self.twice = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        self.twice[1].running_mean += 1.0

    def latent_shape(self, image_shape):
        return None

    def forward(self, measured, latent):
        return torch.tanh(self.twice[1](self.parts(measured.y)))  # the norm without its convolution


def test_norms_that_are_used_otherwise_are_not_folded(tmp_path):
    run = TrainedRun(Odd().eval(), choose("cpu", "fp32"), (3, 8, 8), 0.0, tmp_path, True, (3, 8, 8))
    export(run, tmp_path / "odd.pt2")
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    hidden = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    hidden[..., 2:6, 2:6] = True
    program = torch.export.load(tmp_path / "odd.pt2").module()
    torch.testing.assert_close(program(images=images, hidden=hidden), run.complete(images, ~hidden))
