"""Figures on held-out pictures: of the network, of the yardsticks, and where there is no truth."""

from __future__ import annotations

import engine_fakes as fakes
import pytest
import torch

from ambientkit import Evaluated, Measured, Metric, evaluation
from ambientkit.baselines import classical_fills, missing_fills
from ambientkit.data import HoldOut
from ambientkit.machine import choose
from ambientkit.round_trip import Method

CPU = {"device": "cpu", "precision": "fp32"}


class Samples:
    def __init__(self, y, observed) -> None:
        self.y, self.observed = y, observed

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, indices, counter):
        return Measured(self.y[indices], None if self.observed is None else self.observed[indices])


@pytest.fixture
def held() -> HoldOut:
    truth = torch.linspace(-1, 1, 5 * 16).view(5, 1, 4, 4)
    observed = torch.ones(5, 1, 4, 4, dtype=torch.bool)
    observed[:, :, 1:3, 1:3] = False
    return HoldOut(Samples(torch.where(observed, truth, 1.0), observed), truth)


class NoTruth(Metric):
    def per_picture(self, evaluated):
        return {"spread": evaluated.made.flatten(1).std(1)}

    def summary(self, values):
        return {"spread": float(values["spread"].mean())}


METRICS = {"error": fakes.Error(rises=False), "no_truth": NoTruth()}


def test_completions_are_composited_and_do_not_depend_on_the_batch(held):
    method = Method(None, None, True, (1, 4, 4))  # type: ignore[arg-type]
    network = fakes.Net(fakes.NetOptions(norm=True), 1).eval()
    machine = choose("cpu", "fp32")

    def completed(size, limit=None):
        parts = list(
            evaluation.completions(evaluation.Completer(network, method, machine), held, size, limit)
        )
        return torch.cat([part.completed for part in parts]), torch.cat([part.made for part in parts])

    (whole, made), (parts, _) = completed(5), completed(2)
    torch.testing.assert_close(whole, parts)
    observed = held.samples.observed
    assert torch.equal(whole[observed], held.truth[observed])
    assert torch.equal(whole[~observed], made[~observed])
    assert len(completed(2, 3)[0]) == 3
    assert not completed(5)[0].requires_grad


def test_the_network_is_not_given_the_truth(held):
    seen = []

    class Spy(torch.nn.Module):
        completes, multiple = True, 1

        def latent_shape(self, image_shape):
            return None

        def forward(self, measured, latent):
            seen.append(measured)
            return measured.y

    method = Method(None, None, True, (1, 4, 4))  # type: ignore[arg-type]
    list(evaluation.completions(evaluation.Completer(Spy(), method, choose("cpu", "fp32")), held, 5))
    (measured,) = seen
    assert (measured.y[~measured.observed] == 1.0).all()


def test_figures_are_those_of_all_pictures(held):
    method = Method(None, None, True, (1, 4, 4))  # type: ignore[arg-type]
    network = fakes.Net(fakes.NetOptions(), 1).eval()
    parts = list(
        evaluation.completions(evaluation.Completer(network, method, choose("cpu", "fp32")), held, 2)
    )
    found = evaluation.flat(evaluation.figures(METRICS, parts))
    whole = torch.cat([part.completed for part in parts])
    assert found["mean_error"] == pytest.approx(float((whole - held.truth).abs().mean()), rel=1e-5)
    assert found.keys() == {"mean_error", "spread"}


def test_figures_keep_their_names_though_they_are_taken_at_different_steps():
    """Of two metrics that give one name, the later's bears the metric's, whether or not both are due."""
    whole = {"a": {"x": 1.0}, "b": {"x": 2.0, "y": 3.0}}
    assert evaluation.flat(whole) == {"x": 1.0, "b.x": 2.0, "y": 3.0}
    assert evaluation.flat({"b": {"x": 4.0, "y": 5.0}}, beside=whole) == {"b.x": 4.0, "y": 5.0}


def test_without_truth_its_metrics_are_absent(held):
    blind = HoldOut(held.samples, None)
    y, observed = held.samples.y, held.samples.observed
    found = evaluation.figures(METRICS, [Evaluated(y, observed, y, y)])
    assert found.keys() == {"no_truth"}
    assert evaluation.yardsticks({"error": METRICS["error"]}, blind, 2, fills=True) == {}


def test_the_yardsticks_are_the_classical_fills_and_nature(held):
    rows = evaluation.yardsticks(METRICS, held, 2, fills=True)
    assert {"mean fill", "harmonic fill", "nature"} <= set(rows) <= {*classical_fills(1), "nature"}
    assert rows["nature"]["mean_error"] == 0
    assert 0 < rows["harmonic fill"]["mean_error"] < rows["mean fill"]["mean_error"]
    assert set(evaluation.yardsticks(METRICS, held, 2, fills=False)) == {"nature"}


def test_a_sensor_that_tells_nothing_has_no_classical_fill(held):
    untold = HoldOut(Samples(held.samples.y, None), held.truth)
    assert set(evaluation.yardsticks(METRICS, untold, 2, fills=True)) == {"nature"}


def test_figures_that_are_infinite_are_left_out_of_the_yardsticks(held, monkeypatch):
    monkeypatch.setattr(fakes.Error, "summary", lambda self, values: {"psnr": float("inf"), "b": 1.0})
    assert evaluation.yardsticks({"error": METRICS["error"]}, held, 2, fills=False) == {"nature": {"b": 1.0}}


def test_a_run_tells_its_figures_beside_the_yardsticks(engine, tiny, tmp_path):
    result = engine.run(tiny(metrics=[{"kind": "fakes/error"}]), out=tmp_path, **CPU)
    assert set(result.rows) == {"untrained", *classical_fills(3), "nature"}
    assert set(result.figures) == {"mean_error"}
    assert result.rows["untrained"]["mean_error"] > 0
    assert result.rows["untrained"] != result.figures


def test_yardsticks_that_are_missing_say_why(monkeypatch):
    pytest.importorskip("skimage", reason="ambientkit[evaluate] is not installed")
    of_four = missing_fills(4)
    assert "these have 4" in of_four["Telea"] and of_four.keys() == {"Telea", "Navier-Stokes"}
    monkeypatch.setattr("ambientkit.baselines.find_spec", lambda name: None)
    missing = missing_fills(3)
    opencv = "OpenCV is not installed: pip install 'ambientkit[evaluate]'"
    assert missing["Telea"] == missing["Navier-Stokes"] == opencv
    assert missing["biharmonic"].startswith("scikit-image is not installed")
    assert set(classical_fills(3, slow=True)) == {"mean fill", "harmonic fill"}
