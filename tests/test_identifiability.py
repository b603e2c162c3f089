"""Verdicts: each is reached by a sensor that deserves it, and block_patch by proof."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from functools import reduce
from itertools import combinations, product
from operator import or_
from pathlib import Path

import engine_fakes
import inspection_fakes
import pytest
import torch
from ambientkit_plugins.masks.options import BlockPatchOptions, IdentityOptions, KeepPatchOptions
from engine_recipes import fidelity_only

from ambientkit import Context, Engine
from ambientkit.errors import PluginError
from ambientkit.inspecting.masks import collect
from ambientkit.inspecting.verdicts import find_certificate, hitting_set
from ambientkit.streams import stream

CORNERS = list(product((27, 55), (27, 55)))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(plugins=[engine_fakes, inspection_fakes], discover=False, cache_dir=tmp_path)


def inspected(engine: Engine, draws: int = 2000, **sensor: object):
    recipe = fidelity_only(measurement={"kind": "laws/masks", **sensor}, composite=False)
    return engine.inspect(recipe, draws=draws, samples=1)


def observed_by_every_block(side: tuple[int, int], block: tuple[int, int]) -> torch.Tensor:
    """Bool (places, H, W): the masks of the built-in sensor with its block at every place."""
    sensor = Engine(discover=False).build("measurement", "block_patch", size=list(block))
    places = list(product(range(side[0] - block[0] + 1), range(side[1] - block[1] + 1)))
    return sensor.observed({"corner": torch.tensor(places).unsqueeze(1)}, (1, *side))[:, 0]


# The example of block_patch -----------------------------------------------------------------------


def law_of_measurements(law: dict[tuple[int, ...], Fraction], masks: torch.Tensor) -> Counter:
    """The law of (which of the corners are seen, what is seen there), over all blocks and all states."""
    measured: Counter = Counter()
    for seen in masks.tolist():
        for bits, chance in law.items():
            shown = tuple(bit if there else None for bit, there in zip(bits, seen, strict=True))
            measured[tuple(seen), shown] += chance / len(masks)
    return measured


def test_even_parity_at_four_pixels_gives_the_measurements_of_independent_bits():
    """28 of 64: every block hides one of {27, 55} x {27, 55}, and one bit less of even parity is free."""
    everywhere = observed_by_every_block((64, 64), (28, 28))
    masks = torch.stack([everywhere[:, row, column] for row, column in CORNERS], 1)
    assert masks.shape == (37 * 37, 4)
    assert not masks.all(1).any()
    assert len({tuple(mask) for mask in masks.tolist()}) == 4

    states = list(product((0, 1), repeat=4))
    independent = {bits: Fraction(1, 16) for bits in states}
    parity = {bits: Fraction(1, 8) for bits in states if sum(bits) % 2 == 0}
    assert parity != independent
    assert law_of_measurements(parity, masks) == law_of_measurements(independent, masks)

    tilted = {bits: Fraction(1 + bits[0], 24) for bits in states}
    assert law_of_measurements(tilted, masks) != law_of_measurements(independent, masks)


def test_the_recipe_is_told_of_these_four_pixels(engine):
    recipe = fidelity_only(data={"image_size": [64, 64]}, measurement={"kind": "block_patch", "size": 28})
    judgement = engine.inspect(recipe, draws=64, samples=1).judgement
    assert (judgement.verdict, judgement.proven) == ("lower-order marginals only", True)
    assert "the 4 pixels of rows {27, 55} x columns {27, 55}" in judgement.reason


@pytest.mark.parametrize("side", [(2, 2), (3, 4), (4, 4)])
def test_what_block_patch_claims_is_what_counting_finds(side):
    """The fewest pixels that hit every block, by trying all sets; one or two make it `not identified`."""
    pixels = list(product(range(side[0]), range(side[1])))
    verdicts = set()
    for block in product(range(1, side[0] + 1), range(1, side[1] + 1)):
        hidden = ~observed_by_every_block(side, block)
        # As bits of one number: the blocks that hit a pixel.
        hits = [sum(1 << int(i) for i in hidden[:, r, c].nonzero()) for r, c in pixels]
        every = (1 << len(hidden)) - 1
        fewest = next(
            count
            for count in range(1, len(pixels) + 1)
            if any(reduce(or_, chosen) == every for chosen in combinations(hits, count))
        )
        assert fewest == (side[0] // block[0]) * (side[1] // block[1])
        claim = BlockPatchOptions(size=block).identifiability(Context(image_shape=(1, *side)))
        assert claim is not None
        wanted = "not identified" if fewest <= 2 else "lower-order marginals only"
        assert claim[0] == wanted, (block, claim)
        verdicts.add(claim[0])
    assert len(verdicts) == 2


def test_pixels_that_no_block_spares_are_counted():
    never = int((~observed_by_every_block((5, 6), (4, 4))).all(0).sum())
    claim = BlockPatchOptions(size=4).identifiability(Context(image_shape=(3, 5, 6)))
    assert claim == ("not identified", f"{never} pixels in the middle are never observed, such as (3, 3)")


def test_windows_and_whole_pictures():
    context = Context(image_shape=(1, 8, 8))
    assert IdentityOptions().identifiability(context)[0] == "identified"
    verdict, reason = KeepPatchOptions(size=[8, 5]).identifiability(context)
    assert verdict == "not identified" and "5 or more columns" in reason
    assert BlockPatchOptions(size=3).identifiability(Context()) is None


# Verdicts by draws --------------------------------------------------------------------------------


def test_a_set_that_no_block_spares_is_found_without_proof(engine):
    """A block of 6 in 16 x 16: floor(16 / 6)^2 = 4 pixels hit all 121 of them."""
    found = inspected(engine, law="block", size=6)
    certificate = found.evidence.certificate
    assert found.judgement.verdict == "lower-order marginals only" and not found.judgement.proven
    assert 4 <= len(certificate.places) <= 8
    masks = observed_by_every_block((16, 16), (6, 6))
    assert not torch.stack([masks[:, r, c] for r, c in certificate.places]).all(0).any()
    assert f"these {len(certificate.places)} pixels are never all seen at once" in found.judgement.reason
    assert f"0 of {certificate.draws} draws" in found.judgement.reason


def test_identified_where_a_draw_shows_the_whole_picture(engine):
    found = inspected(engine, law="sometimes_whole")
    assert (found.judgement.verdict, found.judgement.proven) == ("identified", True)
    assert f"seen in {found.evidence.masks.whole} of 2000 draws" in found.judgement.reason


def test_not_identified_with_the_pixels_named(engine):
    found = inspected(engine, law="corner_never")
    assert found.judgement.verdict == "not identified"
    assert found.evidence.never == ((0, 0), (0, 1))
    assert "2 of 256 pixels are never observed in 2000 draws: (0, 0), (0, 1)" in found.judgement.reason
    assert inspected(engine, law="nothing").judgement.reason == "nothing is ever observed in 2000 draws"


def test_not_identified_with_pairs_named(engine):
    found = inspected(engine, law="halves")
    assert found.judgement.verdict == "not identified"
    assert found.evidence.pairs.told == found.evidence.pairs.never == 128 * 128
    assert "(0, 7) and (0, 8)" in found.judgement.reason


@pytest.mark.parametrize("law", ["dropout", "rows"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.99])
def test_independent_holes_are_not_taken_for_holes_that_always_come(engine, law, rate):
    """The whole picture has a chance above 0 that no number of draws would show."""
    found = inspected(engine, law=law, rate=rate, draws=500)
    assert found.judgement.verdict in {"unknown", "identified"}
    assert found.judgement.verdict == "unknown" or found.evidence.masks.whole
    claimed = inspected(engine, law=law, rate=rate, draws=500, claim="identified")
    assert claimed.judgement.verdict == "identified" and "because it says so" in claimed.judgement.reason


def test_unknown_where_nothing_is_observed_pixel_by_pixel(engine):
    found = engine.inspect(
        fidelity_only(measurement={"kind": "laws/grain"}, composite=False), draws=10, samples=1
    )
    assert found.judgement.verdict == "unknown" and found.evidence is None
    assert "does not say which pixels it observes" in found.judgement.reason


def test_what_is_not_exact_is_not_identified_by_being_seen(engine):
    whole = inspected(engine, law="sometimes_whole", exact=False).judgement
    assert whole.verdict == "unknown" and "not exactly" in whole.reason
    block = inspected(engine, law="block", exact=False).judgement
    assert block.verdict == "lower-order marginals only" and "At most" in block.reason
    assert inspected(engine, law="halves", exact=False).judgement.verdict == "not identified"


# Claims -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "claim", "verdict"),
    [
        ("sometimes_whole", "lower-order marginals only", "identified"),
        ("halves", "identified", "not identified"),
    ],
)
def test_a_claim_that_the_masks_refute_is_told(engine, law, claim, verdict):
    found = inspected(engine, law=law, claim=claim)
    assert found.judgement.verdict == verdict
    assert any(f"its options claim {claim!r}" in warning for warning in found.warnings)


def test_claims_that_are_none(engine):
    with pytest.raises(PluginError, match="identifiability says 'maybe'; it must be one of 'identified'"):
        inspected(engine, claim="maybe", draws=10)
    with pytest.raises(PluginError, match="identifiability failed: KeyError"):
        inspected(engine, claim="raise", draws=10)


# Certificates -------------------------------------------------------------------------------------


def batches_of(law: str, count: int, n: int = 800, **options: object) -> list[torch.Tensor]:
    sensor = inspection_fakes.Masks(inspection_fakes.MasksOptions(law=law, **options))
    return [
        sensor.observed(sensor.sample(n, (1, 12, 12), stream(0, law, number)), (1, 12, 12)).flatten(1)
        for number in range(count)
    ]


def certified(batches: list[torch.Tensor]):
    masks = collect([torch.cat(batches).view(-1, 1, 12, 12)], seed=0)
    return find_certificate(masks, iter(batches))


def test_a_certificate_is_confirmed_by_draws_that_it_was_not_fitted_to():
    found = certified(batches_of("block", 6, size=4))
    assert found.draws == 800 and found.expected >= 25
    assert certified(batches_of("block", 1, size=4)) is None  # nothing is left to confirm it
    assert certified(batches_of("block", 6, n=20, size=4)) is None  # 20 draws do not tell
    assert certified(batches_of("sometimes_whole", 6, size=4)) is None


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5])
def test_independent_holes_are_certified_by_nothing(rate):
    """Some set hits every mask of a lot by chance, and the next lot shows it."""
    batches = batches_of("dropout", 6, rate=rate)
    fitted = hitting_set(batches[0][~batches[0].all(1)])
    assert fitted is not None and not batches[0][~batches[0].all(1)][:, fitted].all(1).any()
    assert certified(batches) is None


# Hitting sets -------------------------------------------------------------------------------------


def test_a_hitting_set_hits_every_mask_and_needs_every_site():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        kept = torch.rand(40, 12, generator=generator) > 0.3
        kept = kept[~kept.all(1)]
        chosen = hitting_set(kept)
        assert chosen is not None
        assert (~kept[:, chosen]).any(1).all()
        for site in chosen.tolist():
            rest = [other for other in chosen.tolist() if other != site]
            assert not rest or not (~kept[:, rest]).any(1).all()


def test_no_set_hits_a_mask_that_hides_nothing():
    kept = torch.tensor([[True, False], [True, True]])
    assert hitting_set(kept) is None
    assert hitting_set(kept[:1]).tolist() == [1]
