"""Terms of tiny runs, pinned: what a change of the method, of the draws or of a network's start would move.

Where a change is meant, `python tests/test_pinned.py` prints the numbers anew, and the changelog says that
runs made before cannot be resumed to the same bits.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import engine_fakes as fakes
import pytest
import torch

from ambientkit import Engine

MORE = {"further": {"measurement": {"kind": "block_patch", "size": 6}, "completed_first": True}}
RECIPES = {
    "hinge": {},
    "non_saturating with r1": {"objective": {"kind": "non_saturating", "r1": 0.1}},
    "lsgan": {"objective": {"kind": "lsgan"}},
    "rpgan": {"objective": {"kind": "rpgan", "r1": 0.1, "r2": 0.1}},
    "wgan_clip": {"objective": {"kind": "wgan_clip"}},
    "wgan_gp": {"objective": {"kind": "wgan_gp"}},
    "held_out": {**MORE, "discriminator": None, "objective": None, "fidelity": [{"kind": "held_out"}]},
    "both": {**MORE, "generator": {"kind": "resunet", "width": 4}, "fidelity": [{"kind": "held_out"}]},
    "energy": {
        **MORE,
        "generator": {"kind": "resunet", "width": 4, "latent_channels": 2},
        "fidelity": [{"kind": "held_out_energy"}],
    },
    "matching": {"fidelity": [{"kind": "feature_matching"}]},
    "uair": {"composite": False, "fidelity": [{"kind": "measurement_consistency"}]},
    "local and global": {"discriminator": {"kind": "glcic", "width": 4}},
    "ambientgan": {"composite": False, "generator": {"kind": "dcgan", "width": 4, "latent": 4}},
}
PINNED: dict[str, dict[str, float]] = {
    "hinge": {
        "discriminator/real": 0.938553,
        "discriminator/fake": 0.873045,
        "generator/adversarial": -0.000398302,
    },
    "non_saturating with r1": {
        "discriminator/real": 0.659974,
        "discriminator/fake": 0.639112,
        "discriminator/r1": 0.00416608,
        "generator/adversarial": 0.688082,
    },
    "lsgan": {
        "discriminator/real": 0.385763,
        "discriminator/fake": 0.0095899,
        "generator/adversarial": 0.410453,
    },
    "rpgan": {
        "discriminator/pairs": 0.607528,
        "discriminator/r1": 0.00427839,
        "discriminator/r2": 0.00410243,
        "generator/adversarial": 0.734154,
    },
    "wgan_clip": {
        "discriminator/real": -0.00428418,
        "discriminator/fake": -0.110026,
        "generator/adversarial": 0.113611,
    },
    "wgan_gp": {
        "discriminator/real": -0.0529466,
        "discriminator/fake": -0.149729,
        "discriminator/penalty": 4.79488,
        "generator/adversarial": 0.0276311,
    },
    "held_out": {
        "generator/held_out": 0.552033,
    },
    "both": {
        "discriminator/real": 0.957211,
        "discriminator/fake": 0.912449,
        "generator/adversarial": -0.0475851,
        "generator/held_out": 0.232407,
    },
    "energy": {
        "discriminator/real": 0.960738,
        "discriminator/fake": 0.914829,
        "generator/adversarial": -0.0459986,
        "generator/held_out_energy": 0.188915,
    },
    "matching": {
        "discriminator/real": 0.938259,
        "discriminator/fake": 0.873466,
        "generator/adversarial": -0.000640853,
        "generator/feature_matching": 0.018765,
    },
    "uair": {
        "discriminator/real": 0.88607,
        "discriminator/fake": 0.888644,
        "generator/adversarial": -0.0220426,
        "generator/measurement_consistency": 0.141481,
    },
    "local and global": {
        "discriminator/real": 1.00049,
        "discriminator/fake": 1.00017,
        "generator/adversarial": 0.000894657,
    },
    "ambientgan": {
        "discriminator/real": 0.948773,
        "discriminator/fake": 0.952235,
        "generator/adversarial": -0.0994795,
    },
}


def found(recipe: dict) -> dict[str, float]:
    """The terms of the third step."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(plugins=[fakes], discover=False, cache_dir=Path(folder) / "cache")
        trainer = fakes.make_ready(engine, fakes.tiny(**recipe), Path(folder)).trainer
        for trainer.step in range(3):
            terms = trainer.train_step()
    return {name: float(value) for name, value in terms.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_terms_are_as_they_were(name):
    assert found(RECIPES[name]) == pytest.approx(
        PINNED[name], rel=1e-2, abs=1e-3
    )  # another CPU rounds otherwise


if __name__ == "__main__":
    torch.set_num_threads(1)
    for each, changes in RECIPES.items():
        print(f'    "{each}": {{')
        for term, value in found(changes).items():
            print(f'        "{term}": {value:.6g},')
        print("    },")
