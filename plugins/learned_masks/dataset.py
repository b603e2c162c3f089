"""Masks as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ambientkit import Dataset

from ..incomplete.dataset import IncompletePictures


class MaskPictures(Dataset):
    """uint8 (n, 1, H, W): 255 where a pixel of `pictures` is known, 0 where it is hidden."""

    def __init__(self, pictures: IncompletePictures) -> None:
        self.keys = pictures.keys
        self.skipped = pictures.skipped
        self.image_shape = (1, *pictures.image_shape[1:])
        self.fingerprint = f"masks of {pictures.fingerprint}"
        self._hidden = pictures.data_masks

    def images(self, indices: Sequence[int]) -> Tensor:
        """The masks of these pictures."""
        hidden = self._hidden[torch.as_tensor(indices, dtype=torch.long)]
        return (~hidden).to(torch.uint8) * 255
