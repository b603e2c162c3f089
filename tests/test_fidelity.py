"""held_out, against values worked out by hand."""

import math

import pytest
import torch
from ambientkit_plugins.fidelity import register_fidelities

from ambientkit import Context, RoundTrip
from ambientkit.errors import PluginError


def held_out(norm="l1"):
    (component,) = register_fidelities()
    return component.build(component.options(norm=norm), Context())


def trip(made, y, observed, further):
    return RoundTrip(y, observed, y, further, made, made, {}, y, observed)


def loss(fidelity, the_trip):
    (term,) = fidelity.terms(the_trip, lambda measured: measured.y, lambda images, theta: images).values()
    return term


def pictures(*rows):
    return torch.tensor(rows, dtype=torch.float32).view(len(rows), 1, 1, -1)


# Two pictures of four pixels. T = observed & ~further: pixels 1, 2 of the first, pixel 3 of the second.
OBSERVED = pictures([1, 1, 1, 0], [1, 1, 1, 1]).bool()
FURTHER = pictures([1, 0, 0, 0], [1, 1, 1, 0]).bool()
Y = pictures([0.1, 0.2, 0.3, 9], [0, 0, 0, -1])
MADE = pictures([9, 0.7, 0.1, 9], [9, 9, 9, 0.5])  # differences in T: .5, -.2, 1.5


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ("l1", (0.5 + 0.2 + 1.5) / 3),
        ("l2", (0.25 + 0.04 + 2.25) / 3),
        ("charbonnier", sum(math.sqrt(d * d + 1e-6) for d in (0.5, 0.2, 1.5)) / 3),
    ],
)
def test_mean_cost_over_t(norm, expected):
    assert loss(held_out(norm), trip(MADE, Y, OBSERVED, FURTHER)).item() == pytest.approx(expected)


@pytest.mark.parametrize("norm", ["l1", "l2", "charbonnier"])
def test_channels_are_averaged_too(norm):
    three = [x.expand(2, 3, 1, 4) for x in (MADE, Y)]
    one = loss(held_out(norm), trip(MADE, Y, OBSERVED, FURTHER))
    torch.testing.assert_close(loss(held_out(norm), trip(*three, OBSERVED, FURTHER)), one)


@pytest.mark.parametrize("norm", ["l1", "l2", "charbonnier"])
def test_only_t_has_a_gradient_even_beside_nan(norm):
    target = OBSERVED & ~FURTHER
    made = MADE.masked_fill(~target, float("nan")).requires_grad_()
    y = Y.masked_fill(~OBSERVED, float("nan"))
    loss(held_out(norm), trip(made, y, OBSERVED, FURTHER)).backward()
    assert torch.equal(made.grad != 0, target)
    assert made.grad.isfinite().all()


@pytest.mark.parametrize("norm", ["l1", "l2", "charbonnier"])
def test_empty_t_gives_zero_with_its_graph(norm):
    made = MADE.clone().requires_grad_()
    term = loss(held_out(norm), trip(made, Y, OBSERVED, OBSERVED))
    assert term.item() == 0
    term.backward()
    assert torch.equal(made.grad, torch.zeros_like(made))


@pytest.mark.parametrize("norm", ["l2", "charbonnier"])
def test_a_perfect_picture_has_no_gradient(norm):
    made = Y.clone().requires_grad_()
    loss(held_out(norm), trip(made, Y, OBSERVED, FURTHER)).backward()
    assert torch.equal(made.grad, torch.zeros_like(made))


def test_the_sum_is_not_taken_in_bfloat16():
    made, y = MADE.bfloat16(), Y
    assert loss(held_out(), trip(made, y, OBSERVED, FURTHER)).dtype == torch.float32


def test_without_observed_it_is_refused():
    with pytest.raises(PluginError, match="held_out"):
        loss(held_out(), trip(MADE, Y, None, None))


def test_facts():
    (component,) = register_fidelities()
    needs = {"needs_observed", "needs_further", "needs_exact", "needs_completion"}
    assert component.options().facts() == needs
