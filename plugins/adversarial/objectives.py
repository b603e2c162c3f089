"""The games, one class each; D is a raw score, higher for real, and a mean is over all scores of the batch.

Most have `real` and `fake` terms for the discriminator, beside penalties; all have an `adversarial` one for
the generator.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from ambientkit import Objective, View
from ambientkit.errors import PluginError
from ambientkit.interfaces import Critic, Terms

from .penalties import one_centred, zero_centred


class _Penalised(Objective):
    """What all games share: zero-centred gradient penalties.

    `r1` is their strength at reals, `r2` at fakes; 0 is none. They are taken each `penalty_every` updates.
    """

    def __init__(self, r1: float = 0.0, r2: float = 0.0, penalty_every: int = 1) -> None:
        self.r1 = r1
        self.r2 = r2
        self.penalty_every = penalty_every

    def penalty_terms(self, critic: Critic, real: View, fake: View) -> Terms:
        """{"r1", "r2"}, 0-d, those that have a strength."""
        sides = {"r1": (real, self.r1), "r2": (fake, self.r2)}
        return {
            name: zero_centred(critic, view, strength) for name, (view, strength) in sides.items() if strength
        }


class _Game(_Penalised):
    """A game whose terms are means of a function of one score."""

    @abstractmethod
    def real(self, scores: Tensor) -> Tensor:
        """The discriminator's cost of real scores, element by element."""

    @abstractmethod
    def fake(self, scores: Tensor) -> Tensor:
        """The discriminator's cost of fake scores, element by element."""

    @abstractmethod
    def adversarial(self, scores: Tensor) -> Tensor:
        """The generator's cost of fake scores, element by element."""

    def discriminator_terms(self, critic: Critic, real: View, fake: View) -> Terms:
        """{"real", "fake"}, 0-d each; with the penalties, their sum is the discriminator's loss."""
        return {"real": self.real(critic(real)).mean(), "fake": self.fake(critic(fake)).mean()}

    def generator_terms(self, critic: Critic, real: View, fake: View) -> Terms:
        """{"adversarial"}, 0-d; real pictures are not looked at."""
        return {"adversarial": self.adversarial(critic(fake)).mean()}


class Hinge(_Game):
    """Lim and Ye 2017 ("Geometric GAN"); Miyato et al. 2018, eq. 16 and 17.

    L_D = E[max(0, 1 - D(y))] + E[max(0, 1 + D(y^))],  L_G = -E[D(y^)]
    """

    def real(self, scores: Tensor) -> Tensor:
        """max(0, 1 - D(y))."""
        return functional.relu(1 - scores)

    def fake(self, scores: Tensor) -> Tensor:
        """max(0, 1 + D(y^))."""
        return functional.relu(1 + scores)

    def adversarial(self, scores: Tensor) -> Tensor:
        """-D(y^)."""
        return -scores


class NonSaturating(_Game):
    """Goodfellow et al. 2014, eq. 1 and sec. 3, with p = sigmoid(D).

    L_D = -E[log p(y)] - E[log(1 - p(y^))],  L_G = -E[log p(y^)]
    """

    def real(self, scores: Tensor) -> Tensor:
        """-log p(y) = softplus(-D(y))."""
        return functional.softplus(-scores)

    def fake(self, scores: Tensor) -> Tensor:
        """-log(1 - p(y^)) = softplus(D(y^))."""
        return functional.softplus(scores)

    def adversarial(self, scores: Tensor) -> Tensor:
        """-log p(y^) = softplus(-D(y^))."""
        return functional.softplus(-scores)


class LeastSquares(_Game):
    """Mao et al. 2017 ("Least Squares GAN"), eq. 9: targets 0 and 1, on raw scores.

    L_D = E[(D(y) - 1)^2] / 2 + E[D(y^)^2] / 2,  L_G = E[(D(y^) - 1)^2] / 2
    """

    def real(self, scores: Tensor) -> Tensor:
        """(D(y) - 1)^2 / 2."""
        return (scores - 1).square() / 2

    def fake(self, scores: Tensor) -> Tensor:
        """D(y^)^2 / 2."""
        return scores.square() / 2

    def adversarial(self, scores: Tensor) -> Tensor:
        """(D(y^) - 1)^2 / 2."""
        return (scores - 1).square() / 2


class _Wasserstein(_Game):
    """L_D = -E[D(y)] + E[D(y^)],  L_G = -E[D(y^)]; how D is kept from being steep is for others to say."""

    def real(self, scores: Tensor) -> Tensor:
        """-D(y)."""
        return -scores

    def fake(self, scores: Tensor) -> Tensor:
        """D(y^)."""
        return scores

    def adversarial(self, scores: Tensor) -> Tensor:
        """-D(y^)."""
        return -scores


class WassersteinClipped(_Wasserstein):
    """Arjovsky, Chintala and Bottou 2017, eq. 2 and algorithm 1: then w <- clip(w, -c, c).

    Only weights of convolution and linear layers are clipped: they alone make D steep, while a
    norm's scale clipped to 0.01 would shut the signal off. Of a layer with spectral norm the
    original weight is clipped, before it is normalised.
    """

    def __init__(self, clip: float = 0.01) -> None:
        super().__init__()
        self.clip = clip

    @torch.no_grad()
    def after_discriminator_step(self, discriminator: nn.Module) -> None:
        """Clip the weights to [-clip, clip], in place. Raises PluginError for a layer that stores none."""
        for module in discriminator.modules():
            if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
                _stored_weight(module).clamp_(-self.clip, self.clip)


class WassersteinPenalised(_Wasserstein):
    """Gulrajani et al. 2017, eq. 3: the critic's slope is pulled to 1 between reals and fakes.

    L_D = E[D(y^)] - E[D(y)] + strength * E[(||grad D(e y + (1 - e) y^)|| - 1)^2], e uniform in [0, 1]
    """

    def __init__(self, strength: float = 10.0, penalty_every: int = 1) -> None:
        super().__init__(penalty_every=penalty_every)
        self.strength = strength

    def penalty_terms(self, critic: Critic, real: View, fake: View) -> Terms:
        """{"penalty"}, 0-d."""
        return {"penalty": one_centred(critic, real, fake, self.strength)}


class Relativistic(_Penalised):
    """Each real against the fake beside it (RpGAN, Jolicoeur-Martineau 2019), as R3GAN plays it.

    L_D = E[softplus(D(y^) - D(y))] + r1 / 2 E||grad D(y)||^2 + r2 / 2 E||grad D(y^)||^2,
    L_G = E[softplus(D(y) - D(y^))]  (Huang et al. 2024, sec. 2)
    """

    def discriminator_terms(self, critic: Critic, real: View, fake: View) -> Terms:
        """{"pairs"}, 0-d."""
        return {"pairs": functional.softplus(critic(fake) - critic(real)).mean()}

    def generator_terms(self, critic: Critic, real: View, fake: View) -> Terms:
        """{"adversarial"}, 0-d."""
        return {"adversarial": functional.softplus(critic(real) - critic(fake)).mean()}


def _stored_weight(layer: nn.Module) -> Tensor:
    stored = dict(layer.named_parameters(recurse=True))
    for name in ("parametrizations.weight.original", "weight_orig", "weight"):
        if name in stored:
            return stored[name]
    raise PluginError(
        f"wgan_clip: a {type(layer).__name__} of the discriminator makes its weight of {', '.join(stored)}, "
        "which clipping does not bound; use layers without weight norm"
    )
