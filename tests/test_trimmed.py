"""Trimmed convolutions are the full ones, on maps of every size."""

from __future__ import annotations

import itertools

import pytest
import torch
from ambientkit_plugins.glcic.network import Glcic
from ambientkit_plugins.trimmed import TrimmedConv2d
from torch import nn
from torch.nn import functional

SIZES = [(1, 1), (2, 2), (3, 5), (4, 4), (8, 6), (16, 16)]
SETTINGS = [
    (kernel, stride, padding, dilation)
    for kernel, stride, padding, dilation in itertools.product(
        (1, 3, 5), (1, 2), (0, 1, 2, 4, 8, 16), (1, 2, 8, 16)
    )
]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_function_and_gradients_are_those_of_the_full_kernel(size):
    tried = 0
    for setting in SETTINGS:
        kernel, _, padding, dilation = setting
        if min(size) + 2 * padding <= dilation * (kernel - 1):
            continue
        full, trimmed = nn.Conv2d(2, 3, *setting).double(), TrimmedConv2d(2, 3, *setting).double()
        trimmed.load_state_dict(full.state_dict())
        one = torch.randn(2, 2, *size, dtype=torch.float64, requires_grad=True)
        other = one.detach().clone().requires_grad_()
        left, right = full(one), trimmed(other)
        left.square().sum().backward()
        right.square().sum().backward()
        for mine, theirs in ((left, right), (one.grad, other.grad), (full.weight.grad, trimmed.weight.grad)):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
        tried += 1
    assert tried > 30


def test_the_widest_dilation_of_glcic_reads_its_middle_tap_alone(monkeypatch):
    seen = []
    convolve = functional.conv2d
    network = Glcic(3, width=4, norm="none").layers
    x = torch.randn(1, 4, 64, 64)
    monkeypatch.setattr(
        functional, "conv2d", lambda *a: (seen.append(tuple(a[1].shape[2:])), convolve(*a))[1]
    )
    network(x)
    assert seen.count((1, 1)) == 1
    seen.clear()
    network(torch.randn(1, 4, 72, 64))
    assert seen.count((3, 1)) == 1  # 18 rows: the outer taps meet two of them
