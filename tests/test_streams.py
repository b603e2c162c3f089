"""Random numbers as a function of (seed, name, counters)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ambientkit.streams import derived_seed, global_stream, stream

pytestmark = pytest.mark.smoke

COUNTERS = st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=3)


@given(st.integers(0, 2**63 - 1), st.text(max_size=8), COUNTERS)
def test_a_seed_is_repeatable_and_fits_a_generator(seed, name, counters):
    value = derived_seed(seed, name, *counters)
    assert value == derived_seed(seed, name, *counters)
    assert 0 <= value < 2**63


@given(
    st.tuples(st.integers(0, 99), st.text(max_size=3), COUNTERS),
    st.tuples(st.integers(0, 99), st.text(max_size=3), COUNTERS),
)
def test_other_arguments_give_another_seed(one, other):
    same = (one[0], one[1], one[2]) == (other[0], other[1], other[2])
    assert (derived_seed(one[0], one[1], *one[2]) == derived_seed(other[0], other[1], *other[2])) == same


def test_pieces_do_not_run_into_each_other():
    seeds = [
        derived_seed(1, "a", "bc"),
        derived_seed(1, "ab", "c"),
        derived_seed(1, "a", "b", "c"),
        derived_seed(1, "a", 1, 1),
        derived_seed(1, "a", 11),
        derived_seed(1, "a", "1", "1"),
        derived_seed(11, "a"),
        derived_seed(1, "1a"),
    ]
    assert len(set(seeds)) == len(seeds)


def test_names_that_are_no_unicode_have_a_seed():
    assert derived_seed(0, "measure", "picture-\udcff.png") >= 0


def test_a_stream_draws_the_same_and_touches_nothing_global():
    before = torch.get_rng_state()
    one = torch.rand(5, generator=stream(3, "theta", 4, "generator"))
    other = torch.rand(5, generator=stream(3, "theta", 4, "generator"))
    assert torch.equal(one, other)
    assert not torch.equal(one, torch.rand(5, generator=stream(3, "theta", 5, "generator")))
    assert torch.equal(before, torch.get_rng_state())


def test_the_seeds_are_pinned():
    """A change here makes every store and every run another one."""
    assert derived_seed(0, "measure", "000001.jpg") == 7553336831449535801


def test_code_that_draws_globally_is_repeatable_and_leaves_no_trace():
    before = torch.random.get_rng_state()
    with global_stream(3, "network", 1):
        one = torch.rand(4)
    with global_stream(3, "network", 1):
        same = torch.rand(4)
    with global_stream(3, "network", 2):
        other = torch.rand(4)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)
