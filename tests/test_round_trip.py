"""The method alone: no engine, no files, no draws of its own."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch

from ambientkit import MaskingMeasurement, Measured, Measurement
from ambientkit.round_trip import Draws, Method, hide_more, round_trip, views

pytestmark = pytest.mark.smoke

SHAPE = (2, 4, 4)


class Columns(MaskingMeasurement):
    """Hides one column; theta is which."""

    fill = 0.5

    def sample(self, n, image_shape, generator):
        return {"column": torch.randint(image_shape[-1], (n,), generator=generator)}

    def observed(self, theta, image_shape):
        places = torch.arange(image_shape[-1])
        return (places != theta["column"].view(-1, 1, 1, 1)).expand(-1, 1, *image_shape[-2:])

    def known(self, theta):
        return {"column": theta["column"]}


class Blind(Measurement):
    """Says nothing of what it sees."""

    def sample(self, n, image_shape, generator):
        return {"none": torch.zeros(n, 0)}

    def measure(self, images, theta):
        return images.sum(-1)


def column(*places: int) -> dict[str, torch.Tensor]:
    return {"column": torch.tensor(places)}


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0)) * 0.4


@pytest.fixture
def real(images) -> Measured:
    sensor, theta = Columns(), column(0, 1, 2)
    return Measured(sensor.measure(images, theta), sensor.observed(theta, SHAPE), sensor.known(theta))


def black(measured, latent):
    return torch.full_like(measured.y, -1.0)


def test_the_whole_way_of_a_batch(real):
    sensor = Columns()
    method = Method(sensor, sensor, True, SHAPE)
    draws = Draws(column(3, 3, 3), column(2, 3, 2), torch.tensor([True, True, False]))
    trip = round_trip(method, black, real, draws)
    hidden = [[0, 2], [1, 3], [2]]
    for picture, columns in enumerate(hidden):
        seen = [c for c in range(4) if c not in columns]
        assert (trip.y_further[picture][..., columns] == 0.5).all()
        assert not trip.observed_further[picture][..., columns].any()
        assert (trip.completed[picture][..., columns] == -1).all()
        assert torch.equal(trip.completed[picture][..., seen], real.y[picture][..., seen])
    assert (trip.y_fake[..., 3] == 0.5).all()
    assert torch.equal(trip.y_fake[..., :3], trip.completed[..., :3])
    assert not trip.observed_fake[..., 3].any()
    assert trip.y is real.y


def test_without_a_further_measurement_the_generator_sees_what_was_measured(real):
    assert hide_more(Method(Columns(), None, True, SHAPE), None, real, Draws(column(3, 3, 3))) is real


def test_hiding_more_keeps_what_is_known(real):
    method = Method(Columns(), Columns(), True, SHAPE)
    draws = Draws(column(3, 3, 3), column(3, 3, 3), torch.ones(3, dtype=torch.bool))
    assert hide_more(method, None, real, draws).known is real.known


class Tells:
    """A generator that notes what it is shown, and fills with the number of the call."""

    def __init__(self) -> None:
        self.shown, self.level = [], torch.tensor(0.0, requires_grad=True)

    def __call__(self, measured, latent):
        self.shown.append(measured)
        return self.level * 1 + 10.0 * len(self.shown) + torch.zeros_like(measured.y)


def test_completed_first_leaves_one_hole_of_the_sensors_law(real):
    network, method = Tells(), Method(Columns(), Columns(), True, SHAPE, completed_first=True)
    draws = Draws(column(3, 3, 3), column(3, 0, 2), torch.tensor([True, True, False]))
    trip = round_trip(method, network, real, draws)
    first, second = network.shown
    assert first is real, "the holes of y are filled by the generator as it is"
    for picture, hole in enumerate((3, 0, 2)):  # the third has no further hole, and keeps its own
        hidden = ~second.observed[picture].all(0).all(0)
        assert hidden.nonzero().flatten().tolist() == [hole]
        assert (second.y[picture][..., hole] == 0.5).all()
    assert (second.y[0][..., 0] == 10).all() and (second.y[1][..., 1] == 10).all()
    seen = real.observed & second.observed
    assert torch.equal(torch.where(seen, second.y, 0), torch.where(seen, real.y, 0))
    assert trip.y is real.y and trip.observed is real.observed, "what it filled is never a target"
    (gradient,) = torch.autograd.grad(trip.completed.sum(), network.level)
    assert gradient == (~trip.observed_further.expand_as(trip.y)).sum(), "the first pass has no gradient"


def test_what_is_completed_first_has_a_latent_of_its_own(real):
    """Else the fills of its hole would tell a network which of two completions shares their latent."""
    method, used = Method(Columns(), Columns(), True, SHAPE, completed_first=True), []

    def network(measured, latent):
        used.append(latent)
        return torch.zeros(len(measured.y), *SHAPE)

    latents = [torch.full((3, 1), float(number)) for number in range(3)]
    draws = Draws(column(3, 3, 3), column(3, 0, 2), torch.ones(3, dtype=torch.bool), *latents)
    round_trip(method, network, real, draws)
    assert used == [draws.latent_first, draws.latent]


def test_completed_first_asks_for_nothing_where_nothing_more_is_hidden(real):
    network, method = Tells(), Method(Columns(), None, True, SHAPE, completed_first=True)
    round_trip(method, network, real, Draws(column(3, 3, 3)))
    assert len(network.shown) == 1


def test_the_views_are_the_measurements_with_their_own_known(real):
    method = Method(Columns(), None, True, SHAPE)
    region = torch.zeros(3, 1, 4, 4, dtype=torch.bool)
    draws = Draws(column(3, 2, 1), region=region)
    trip = round_trip(method, black, real, draws)
    one, other = views(real, trip, draws)
    assert one.y is real.y
    assert one.region is region
    assert other.y is trip.y_fake
    assert torch.equal(other.known["column"], torch.tensor([3, 2, 1]))
    assert torch.equal(other.region, ~real.observed)


def test_uncomposited_it_is_what_was_made(real):
    trip = round_trip(Method(Columns(), None, False, SHAPE), black, real, Draws(column(3, 3, 3)))
    assert trip.completed is trip.made


def test_a_sensor_of_another_shape_that_tells_nothing(images):
    sensor = Blind()
    real = Measured(sensor.measure(images, {}))
    draws = Draws({"none": torch.zeros(3, 0)}, latent=torch.zeros(3, 1))
    method = Method(sensor, None, False, SHAPE)
    trip = round_trip(method, lambda measured, latent: images + latent.view(-1, 1, 1, 1), real, draws)
    one, other = views(real, trip, draws)
    assert torch.equal(one.y, other.y)
    assert other.observed is other.region is other.known is None


def test_records_are_compared_as_themselves_and_cannot_be_changed():
    """Equality by value would compare tensors, which has no truth; and what was drawn stays drawn."""
    sensor = Columns()
    records = [(Draws({"a": torch.zeros(2)}), Draws({"a": torch.zeros(2)}))]
    records += [(Method(sensor, None, True, SHAPE), Method(sensor, None, True, SHAPE))]
    for one, other in records:
        assert one != other and one == one and len({one, other}) == 2
        with pytest.raises(FrozenInstanceError):
            setattr(one, one.__slots__[0], None)
