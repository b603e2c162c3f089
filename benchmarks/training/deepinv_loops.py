"""AmbientGAN as deepinv 0.5.0 trains it: its networks, losses, operator and `AdversarialTrainer`, in float32.

Runs where that library is installed, without ambientkit. As shipped, its `CSGMGenerator` makes one picture a
step whatever the batch; `batched` makes as many as there are measurements.
"""

from __future__ import annotations

import sys
from typing import Any

import deepinv
import torch
from deepinv.loss.adversarial import UnsupAdversarialDiscriminatorLoss, UnsupAdversarialGeneratorLoss
from deepinv.models import CSGMGenerator, DCGANDiscriminator, DCGANGenerator
from deepinv.training import AdversarialOptimizer, AdversarialTrainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from .pictures import smooth_pictures
from .setting import Setting
from .turns import Turns

ENDLESS = 10**6  # samples in an epoch, so that none ends


class Measurements(Dataset[dict[str, Tensor]]):
    """Measured pictures, over and over."""

    def __init__(self, setting: Setting, physics: Any) -> None:
        pictures = smooth_pictures(setting.pictures, setting.size, setting.size)
        self._measured = physics(pictures.float() / 127.5 - 1)

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"y": self._measured[index % len(self._measured)]}


class BatchedGenerator(CSGMGenerator):  # type: ignore[misc]
    """With a latent for each measurement of the batch."""

    def forward(self, y: Tensor, physics: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Pictures (n, C, H, W)."""
        latent = torch.rand(len(y), self.backbone_generator.nz, 1, 1, device=y.device) * 2 - 1
        pictures: Tensor = self.backbone_generator(latent)
        return pictures


class Trainer(AdversarialTrainer):  # type: ignore[misc]
    """The library's, which says when a step is done."""

    turns: Turns

    def step(self, *args: Any, **kwargs: Any) -> None:
        """A step of the library."""
        super().step(*args, **kwargs)
        self.turns.stepped()


def shipped(setting: Setting, turns: Turns) -> None:
    """One generated picture a step."""
    _train(CSGMGenerator(DCGANGenerator(setting.size, ngf=setting.width)), setting, turns)


def batched(setting: Setting, turns: Turns) -> None:
    """As many generated pictures as measured ones."""
    _train(BatchedGenerator(DCGANGenerator(setting.size, ngf=setting.width)), setting, turns)


def _train(generator: nn.Module, setting: Setting, turns: Turns) -> None:
    print("deepinv", deepinv.__version__, file=sys.stderr)
    physics = deepinv.physics.Inpainting((3, setting.size, setting.size), mask=0.5)
    discriminator = DCGANDiscriminator(ndf=setting.width)
    trainer = Trainer(
        model=generator,
        D=discriminator,
        physics=physics,
        train_dataloader=DataLoader(Measurements(setting, physics), setting.batch, num_workers=0),
        optimizer=AdversarialOptimizer(_adam(generator), _adam(discriminator)),
        losses=UnsupAdversarialGeneratorLoss(),
        losses_d=UnsupAdversarialDiscriminatorLoss(),
        optimizer_step_multi_dataset=False,
        device="cpu",
        compute_train_metrics=False,  # they ask for the true pictures
        save_path=None,
        verbose=False,
    )
    trainer.turns = turns
    trainer.train()


def _adam(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
