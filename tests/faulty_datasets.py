"""Data sets that keep their contract, and some that break one promise each."""

from __future__ import annotations

import torch

from ambientkit import Dataset, Measured

SHAPE = (3, 8, 10)


class GoodDataset(Dataset):
    def __init__(self):
        self.image_shape = SHAPE
        self.keys = [f"{index}.png" for index in range(5)]
        self.fingerprint = "five pictures"
        self.pictures = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def images(self, indices):
        return self.pictures[torch.as_tensor(indices)]


class GoodMeasurements(GoodDataset):
    arrives_measured = True

    def images(self, indices):
        raise TypeError("there is no clean picture")

    def measured(self, indices):
        chosen = torch.as_tensor(indices)
        y = self.pictures[chosen]
        return Measured(y, y[:, :1] > -0.9, {"angle": chosen.float()})


class KeysTwice(GoodDataset):
    def __init__(self):
        super().__init__()
        self.keys = ["same.png"] * 5


class NumbersAsKeys(GoodDataset):
    def __init__(self):
        super().__init__()
        self.keys = list(range(5))


class OtherLength(GoodDataset):
    def __len__(self):
        return 4


class FingerprintOfTheClock(GoodDataset):
    reads = 0

    @property
    def fingerprint(self):
        return f"read {self.reads}"

    @fingerprint.setter
    def fingerprint(self, value):
        pass

    def images(self, indices):
        self.reads += 1
        return super().images(indices)


class ShapeOfTwo(GoodDataset):
    def __init__(self):
        super().__init__()
        self.image_shape = [*SHAPE]


class BackwardsRange(GoodMeasurements):
    value_range = (1.0, 0.0)


class ListOfPictures(GoodDataset):
    def images(self, indices):
        return [self.pictures[index] for index in indices]


class Turned(GoodDataset):
    def images(self, indices):
        return super().images(indices).mT


class MaskOfAnotherSize(GoodMeasurements):
    def measured(self, indices):
        found = super().measured(indices)
        return Measured(found.y, found.observed[..., 1:], found.known)


class InDoubles(GoodDataset):
    def images(self, indices):
        return super().images(indices).double()


class OutOfRange(GoodDataset):
    def images(self, indices):
        return (super().images(indices) + 1) * 127.5


class NaNWhereObserved(GoodMeasurements):
    def measured(self, indices):
        found = super().measured(indices)
        return Measured(torch.full_like(found.y, torch.nan), found.observed, found.known)


class Augments(GoodDataset):
    def __init__(self):
        super().__init__()
        self.dice = torch.Generator()

    def images(self, indices):
        return super().images(indices) * torch.rand(1, generator=self.dice)


class Sorts(GoodDataset):
    def images(self, indices):
        return super().images(sorted(indices))


class GoesRound(GoodDataset):
    def images(self, indices):
        return super().images([index % 5 for index in indices])


class HasCleanOnesToo(GoodMeasurements):
    def images(self, indices):
        return self.pictures[torch.as_tensor(indices)]


class HandsOutItsMemory(GoodDataset):
    def images(self, indices):
        if len(indices) == 1 and indices[0] < 5:
            return self.pictures[indices[0] : indices[0] + 1]
        return super().images(indices)


class DrawsGlobally(GoodDataset):
    def images(self, indices):
        torch.rand(1)
        return super().images(indices)


class InvertedMask(GoodMeasurements):
    def measured(self, indices):
        found = super().measured(indices)
        return Measured(found.y, torch.zeros_like(found.observed), found.known)


FAULTY_DATASETS = {
    KeysTwice: "keys_are_names",
    NumbersAsKeys: "keys_are_names",
    OtherLength: "the_length_is_the_number_of_keys",
    FingerprintOfTheClock: "the_fingerprint_is_a_text_that_lasts",
    ShapeOfTwo: "declarations_are_of_their_types",
    BackwardsRange: "declarations_are_of_their_types",
    ListOfPictures: "samples_come",
    Turned: "samples_have_the_declared_shape",
    MaskOfAnotherSize: "samples_have_the_declared_shape",
    InDoubles: "samples_have_a_known_type_and_range",
    OutOfRange: "samples_have_a_known_type_and_range",
    NaNWhereObserved: "samples_have_a_known_type_and_range",
    Augments: "the_same_index_gives_the_same_sample",
    Sorts: "samples_come_in_the_order_of_the_indices",
    GoesRound: "an_index_that_is_not_there_is_refused",
    HasCleanOnesToo: "arrives_measured_is_declared_honestly",
    HandsOutItsMemory: "samples_are_copies",
    DrawsGlobally: "global_random_states_are_left_alone",
    InvertedMask: "an_observed_mask_says_something",
}
