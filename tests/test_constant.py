"""Numbers that are sent to a device once."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ambientkit import Constant


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_it_has_the_type_of_what_it_is_used_with(dtype):
    constant, images = Constant([[0.1, 2]]), torch.zeros(1, dtype=dtype)
    assert torch.equal(constant.like(images), images.new_tensor([[0.1, 2]]))
    assert constant.like(images) is constant.like(torch.ones(3, dtype=dtype))


def test_copies_are_as_good():
    constant = Constant([1.0])
    for other in (copy.deepcopy(constant), pickle.loads(pickle.dumps(constant))):
        assert torch.equal(other.like(torch.zeros(1)), torch.ones(1))


def test_it_serves_where_gradients_are_taken_though_it_was_first_used_where_none_are():
    constant, weight = Constant([2.0]), torch.ones(1, requires_grad=True)
    with torch.inference_mode():
        constant.like(torch.zeros(1))
    (weight * constant.like(weight)).sum().backward()
    assert weight.grad.tolist() == [2]


def test_a_trial_with_tensors_that_hold_nothing_leaves_nothing():
    constant = Constant([2.0])
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert type(constant.like(mode.from_tensor(torch.zeros(1)))) is not torch.Tensor
    assert constant.like(torch.zeros(1)).tolist() == [2]


def test_it_may_be_made_anywhere():
    with torch.inference_mode(), torch.device("meta"):
        constant = Constant([2.0])
    assert not constant.like(torch.zeros(1, dtype=torch.float64)).is_inference()
    assert constant.like(torch.zeros(1)).tolist() == [2]


def test_copies_carry_nothing_that_was_sent():
    constant = Constant([2.0])
    constant.like(torch.zeros(1))
    assert constant._sent and not pickle.loads(pickle.dumps(constant))._sent


def test_a_tensor_keeps_its_type_and_stays_on_every_device_that_it_was_sent_to():
    """A sensor is used on a GPU by the training, and on a CPU by figures."""
    constant = Constant(torch.tensor([[True, False]]))
    here, there = torch.device("cpu"), torch.device("meta")
    first = constant.on(here)
    assert first.dtype == torch.bool and first.tolist() == [[True, False]]
    assert constant.on(there).device == there
    assert constant.on(here) is first and constant.on(there) is constant.on(there)
    assert len(constant) == 1 and constant.shape == (1, 2)


def test_what_becomes_of_the_numbers_given_changes_nothing():
    given = torch.ones(2, requires_grad=True)
    constant = Constant(given)
    with torch.no_grad():
        given[0] = 7
    assert constant.on(torch.device("cpu")).tolist() == [1, 1] and not constant.on(given.device).requires_grad
