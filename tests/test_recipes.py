"""Every shipped recipe: valid, described, listed, and able to train (in a version that takes a second)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from docs_tables import ROOT, shipped
from PIL import Image

from ambientkit import Engine, recipe_file

RECIPES = sorted(shipped())
CELEBA = [name for name in RECIPES if name.startswith("celeba_")]
FOLDER = [name for name in RECIPES if name.startswith("folder_")]
AMBIENTGAN = [name for name in RECIPES if name.startswith("ambientgan/")]
STAGES = ["misgan_masks", "misgan_imputer"]  # tests/test_learned_masks.py trains them one after the other
COMPLETING = [name for name in RECIPES if name not in (*AMBIENTGAN, *STAGES, "folder_uair")]
SIDE = 32


@pytest.fixture(scope="module")
def bare() -> Engine:
    """An engine with the built-ins alone: what every user has."""
    return Engine(discover=False)


@pytest.fixture(scope="module")
def faces(bare):
    """uint8 (24, 3, 32, 32)."""
    from ambientkit import Context

    built = bare.build("dataset", "toy_faces", count=24, context=Context(image_size=(SIDE, SIDE)))
    return built.images(range(24))


def header(name: str) -> str:
    """The comment at the top of a recipe, without marks."""
    lines = shipped()[name].read_text("utf-8").splitlines()
    top = lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))]
    return "\n".join(line.removeprefix("#").strip() for line in top)


def test_the_recipes_that_are_promised_are_there():
    promised = {"quickstart", "celeba_block", "celeba_block_2018", "celeba_block_held_out", "celeba_keep"}
    assert promised | {"folder_block", "incomplete_faces"} <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_is_valid_with_the_built_ins_alone(name, bare):
    problems = bare.validate(name)
    assert [str(problem) for problem in problems if not problem.warning] == []


@pytest.mark.parametrize("name", RECIPES)
def test_has_a_header(name):
    text = header(name)
    for part in ("What:", "Expect:", "Length:"):
        assert re.search(rf"^{part}\s+\S", text, re.MULTILINE), f"{name} lacks {part}"
    assert re.search(rf"^ambientkit run {name}\b", text, re.MULTILINE), f"{name} does not say its command"
    up = "../" * (name.count("/") + 1)
    assert f"$schema={up}docs/recipe.schema.json" in text


@pytest.mark.parametrize("name", RECIPES)
def test_is_named_after_its_file_and_listed(name, bare):
    assert bare.load(name).recipe.name == name.rpartition("/")[2]
    assert f"recipes/{name}.yaml" in (ROOT / "docs/recipes.md").read_text("utf-8")


@pytest.mark.parametrize("name", RECIPES)
def test_resolves_to_itself(name, bare):
    plan = bare.load(name)
    assert bare.load(plan.resolved()).resolved() == plan.resolved()


# Training ---------------------------------------------------------------------------------------


def shrunk(name: str, bare: Engine) -> list[str]:
    """Overrides that leave a recipe's kind as it is and make it small."""
    plan = bare.load(name)
    found = [
        "generator.width=4",
        "train.steps=2",
        "train.batch_size=4",
        "train.checkpoints.every=1",
        *(f"callbacks.{number}.every=1" for number in range(len(plan.callbacks))),
    ]
    if plan.discriminator:
        found.append("discriminator.width=4")
    if plan.measurement.registered.name != "masks_of_data":
        sensors = {"measurement": plan.measurement, "evaluation": plan.evaluation, "further": plan.further}
        found.append(f"data.image_size=[{SIDE}, {SIDE}]")
        found += [
            f"{'' if role == 'measurement' else f'{role}.'}measurement.size=12"
            for role, sensor in sensors.items()
            if sensor and hasattr(sensor.options, "size")
        ]
    return found


def source_of(name: str, faces: torch.Tensor, folder: Path) -> list[str]:
    """Overrides that put toy faces where a recipe has pictures that are not here."""
    if name in CELEBA:
        return ["data.source.kind=toy_faces", "data.source.count=24", "data.holdout=4"]
    if name in FOLDER:
        pictures = picture_folder(faces, folder)
        clean = [f"discriminator_data.source.root={pictures}"] if name == "folder_unpaired" else []
        return [f"data.source.root={pictures}", "data.holdout.one_in=4", *clean]
    if name == "incomplete_faces":
        return [f"data.source.source={incomplete_file(faces, folder)}", "data.holdout=4"]
    assert name == "quickstart", f"{name}: say here what it is to be tested on"
    return ["data.source.count=24", "data.holdout=4"]


def picture_folder(faces: torch.Tensor, folder: Path) -> Path:
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, face in enumerate(faces):
        Image.fromarray(face.permute(1, 2, 0).numpy()).save(pictures / f"{number}.png")
    return pictures


def incomplete_file(faces: torch.Tensor, folder: Path) -> Path:
    """Faces that each lost one block of white, somewhere."""
    images, hidden = faces.permute(0, 2, 3, 1).numpy().copy(), np.zeros((len(faces), SIDE, SIDE), bool)
    for number, (top, left) in enumerate(np.random.default_rng(0).integers(0, SIDE - 10, (len(faces), 2))):
        hidden[number, top : top + 10, left : left + 10] = True
    images[hidden] = 255
    np.savez(folder / "incomplete.npz", images=images, hidden=hidden)
    return folder / "incomplete.npz"


@pytest.mark.parametrize("name", COMPLETING)
def test_trains_completes_and_can_be_found_again(name, bare, faces, tmp_path):
    engine = Engine(discover=False, cache_dir=tmp_path / "cache")
    overrides = [*shrunk(name, bare), *source_of(name, faces, tmp_path)]
    result = engine.run(name, *overrides, out=tmp_path / "runs", device="cpu", precision="fp32")
    assert result.step == 2
    assert_figures(result, engine.load(name, *overrides))
    assert_outputs(result.folder)
    images = faces[:2].float() / 127.5 - 1
    observed = torch.ones(2, 1, SIDE, SIDE, dtype=torch.bool)
    observed[..., 8:20, 8:20] = False
    completed = engine.open(result.folder, device="cpu").complete(images, observed)
    assert torch.equal(torch.where(observed, completed, 0), torch.where(observed, images, 0))
    assert (completed != images).any()


def assert_figures(result, plan) -> None:
    """Every metric of the recipe has a figure, of the trained network and of what it is compared with."""
    assert plan.metrics
    for choice in plan.metrics:
        found = [name for name in result.figures if name.startswith(choice.registered.name)]
        assert found, f"{choice.registered.name} is absent"
    assert set(result.rows) >= {"untrained", "mean fill", "harmonic fill"}
    assert ("nature" in result.rows) == (plan.source.registered.name != "incomplete")
    fair = plan.recipe.data.measure == "once" and plan.recipe.discriminator_data is None
    assert bool(result.labels) != fair


def assert_outputs(folder: Path, first: int = 0) -> None:
    """`first` is the first step that metrics.jsonl tells of: 0 where figures are taken before it."""
    record = json.loads((folder / "run.json").read_text("utf-8"))
    assert record["status"] == "finished" and record["step"] == 2
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert {line["step"] for line in lines} == set(range(first, 3))
    assert {path.name for path in (folder / "samples").iterdir()} == {"step-0000001.png", "step-0000002.png"}
    assert (folder / "checkpoints/step-0000002/generator.safetensors").is_file()


def test_shipped_recipes_are_those_of_the_folder():
    assert set(recipe_file.shipped()) == set(RECIPES)


def test_uair_restores(bare, faces, tmp_path):
    engine = Engine(discover=False, cache_dir=tmp_path / "cache")
    overrides = [
        *(each for each in shrunk("folder_uair", bare) if not each.startswith("measurement.size")),
        *source_of("folder_uair", faces, tmp_path),
    ]
    for sensor in ("{kind: block_pixels, p: 0.9}", "{kind: band}"):
        result = engine.run("folder_uair", *overrides, f"measurement={sensor}", out=tmp_path / "runs")
        assert_outputs(result.folder)
        lines = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
        terms = {name: value for line in lines for name, value in line.items() if "consistency" in name}
        assert terms and all(value > 0 for value in terms.values())
        restored = engine.open(result.folder, device="cpu").complete(
            faces[:2].float() / 127.5 - 1, torch.ones(2, 1, SIDE, SIDE, dtype=torch.bool)
        )
        assert restored.shape == (2, 3, SIDE, SIDE)
        assert bare.validate("folder_uair", f"measurement={sensor}") == []


# AmbientGAN -------------------------------------------------------------------------------------


SETTINGS = {
    "mnist": "block_pixels drop_rows drop_columns drop_rows_columns block_patch keep_patch extract_patch "
    "convolve_noise project project_theta",
    "celeba": "block_pixels block_patch keep_patch convolve_noise project_theta",
    "cifar10": "block_pixels",
}
"""The paper's sensors by data set."""


def test_every_sensor_of_ambientgan_has_a_recipe():
    wanted = {f"ambientgan/{data}_{kind}" for data, kinds in SETTINGS.items() for kind in kinds.split()}
    assert wanted == set(AMBIENTGAN)


@pytest.mark.parametrize("name", AMBIENTGAN)
def test_trains_from_measurements_and_makes_pictures(name, bare, tmp_path):
    engine = Engine(discover=False, cache_dir=tmp_path / "cache")
    plan = bare.load(name)
    overrides = [
        "data.source={kind: toy_faces, count: 24}",
        f"data.image_size=[{SIDE}, {SIDE}]",
        "data.holdout=4",
        "generator.width=4",
        "train.steps=2",
        "train.batch_size=4",
        *(f"callbacks.{number}.every=1" for number in range(len(plan.callbacks))),
    ]
    if plan.discriminator.registered.name == "dcgan":
        overrides.append("discriminator.width=4")
    if name.endswith(("block_patch", "keep_patch")):
        overrides.append("measurement.size=12")
    result = engine.run(name, *overrides, out=tmp_path / "runs", device="cpu", precision="fp32")
    assert_outputs(result.folder, first=1)
    made = engine.open(result.folder, device="cpu").generate(2)
    assert made.shape == (2, 3, SIDE, SIDE)
    assert not torch.equal(made[0], made[1])


@pytest.mark.parametrize("drop", [0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99])
def test_every_p_of_the_paper_can_be_said(drop, bare):
    for name in AMBIENTGAN:
        if "p" in type(bare.load(name).measurement.options).model_fields:
            assert bare.validate(name, f"measurement.p={drop}") == []


def test_noise_of_the_paper_in_our_units(bare):
    """MNIST is in [0, 1] there, so its noise is doubled here; CelebA is in [-1, 1] in both."""
    for name, levels in {"mnist": (0, 0.2, 0.4, 1.0), "celeba": (0, 0.1, 0.2)}.items():
        for level in levels:
            assert bare.validate(f"ambientgan/{name}_convolve_noise", f"measurement.noise={level}") == []
