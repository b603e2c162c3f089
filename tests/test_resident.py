"""Measurements on a device are those of the store, and reading ahead changes no batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store import measured, written

from ambientkit.data import Batches, StoredSamples
from ambientkit.resident import Ahead, ResidentSamples, brought, unpacked

CPU = torch.device("cpu")


@given(
    n=st.integers(1, 6), width=st.integers(1, 19), eight=st.booleans(), fill=st.sampled_from([None, 0.0, 1.0])
)
@settings(max_examples=25, deadline=None)
def test_resident_samples_are_those_of_the_store(n, width, eight, fill):
    stored = StoredSamples(written(measured(n, width), eight_bits=eight).close(), fill)
    resident = ResidentSamples.of(stored, CPU)
    indices = torch.arange(n).flip(0)
    one, other = stored.batch(indices, 0), resident.batch(indices, 0)
    assert len(resident) == n
    assert torch.equal(one.y, other.y)
    assert torch.equal(one.observed, other.observed)
    assert torch.equal(one.known["angle"], other.known["angle"])


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_bits_are_unpacked_as_numpy_packs_them(flags):
    packed = torch.from_numpy(np.packbits(np.array(flags)))
    assert unpacked(packed, len(flags)).tolist() == flags


def test_batches_of_a_cpu_stay_what_they_are():
    batches = Batches(StoredSamples(written(measured(4)).close(), None), 2, seed=0)
    assert brought(batches, CPU) is batches


def test_reading_ahead_gives_every_batch_in_any_order():
    read = []

    def batches(counter):
        read.append(counter)
        return counter * 10

    ahead = Ahead(batches, lambda batch: batch + 1)
    assert [ahead(counter) for counter in (0, 1, 2, 7, 8, 3)] == [1, 11, 21, 71, 81, 31]
    assert read[:3] == [0, 1, 2]


def test_what_fails_while_reading_ahead_is_raised_when_it_is_asked_for():
    def batches(counter):
        if counter == 1:
            raise OSError("the disk is gone")
        return counter

    ahead = Ahead(batches, lambda batch: batch)
    assert ahead(0) == 0
    with pytest.raises(OSError, match="the disk is gone"):
        ahead(1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")
def test_a_gpu_has_its_measurements_at_hand():
    batches = Batches(StoredSamples(written(measured(4)).close(), None), 2, seed=0)
    assert brought(batches, torch.device("cuda"))(0).y.is_cuda
