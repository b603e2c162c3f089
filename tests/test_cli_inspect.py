"""`ambientkit inspect`: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ambientkit.cli import main
from ambientkit.inspecting.pictures import GAP

RECIPE = """\
recipe: 1
name: tiny
data: {source: {kind: toy_faces, count: 12}, image_size: [16, 16], holdout: 4}
measurement: {kind: block_patch, size: 6}
further: {measurement: {kind: block_patch, size: 4}, probability: 0.5}
generator: {kind: glcic, width: 2, dilations: [1, 1, 1, 1], norm: none}
discriminator: {kind: dcgan, width: 2, norm: none}
objective: {kind: hinge}
train: {steps: 2, batch_size: 4}
"""
FAKES = Path(__file__).with_name("inspection_fakes.py")


def inspect(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


@pytest.fixture(autouse=True)
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AMBIENTKIT_CACHE", str(tmp_path / "cache"))
    Path("tiny.yaml").write_text(RECIPE)
    return tmp_path


def test_it_tells_and_ends_with_the_verdict(recipe):
    done = inspect("tiny.yaml", "--draws", 300)
    assert done.exit_code == 0, done.output
    for said in (
        "toy_faces: 8 training pictures of 3 x 16 x 16",
        "block_patch: exact, another theta for each picture",
        "300 draws",
        "share of a picture hidden",
        "14.1 % to 14.1 %, median 14.1 %",
        "0 of 256",
        "pairs never observed together",
        "block_patch, applied to 50 % of the pictures",
        "it hides a known pixel beside the hole",
        "another law, see below",
        "warning: the holes of the further measurement block_patch are not of the law of the sensor's",
    ):
        assert said in done.stdout, said
    verdict, reason = done.stdout.splitlines()[-2:]
    assert verdict == "Verdict: lower-order marginals only (proven)"
    assert reason.startswith("the 4 pixels of rows {5, 11} x columns {5, 11} hit every block")
    assert [path.name for path in recipe.iterdir()] == ["tiny.yaml"]


def test_out_holds_pictures_and_json(recipe):
    done = inspect("tiny.yaml", "--draws", 50, "--samples", 3, "--out", "deep/inspected")
    assert done.exit_code == 0, done.output
    assert "inspect.json, inspect.png, observed.png" in done.stderr
    folder = recipe / "deep/inspected"
    assert sorted(path.name for path in folder.iterdir()) == ["inspect.json", "inspect.png", "observed.png"]
    with Image.open(folder / "inspect.png") as samples:
        assert samples.size == (3 * (64 + GAP) + GAP, 2 * (64 + GAP) + GAP)
    with Image.open(folder / "observed.png") as maps:
        assert maps.size == (2 * (256 + GAP) + GAP, 256 + 2 * GAP)
    assert json.loads((folder / "inspect.json").read_text("utf-8"))["verdict"] == "lower-order marginals only"


def test_json_is_all_that_is_printed(recipe):
    done = inspect("tiny.yaml", "measurement.size=4", "--draws", 50, "--json")
    said = json.loads(done.stdout)
    assert (done.exit_code, said["recipe"], said["observation"]["draws"]) == (0, "tiny", 50)
    assert said["further"]["against_sensor"] == []


def test_a_sensor_of_vectors(recipe):
    """No masks and no maps; a picture of an earlier inspection does not stay beside the new one."""
    Path("laws.py").write_text(FAKES.read_text())  # by another name than the module of these tests
    common = ("tiny.yaml", "--plugin", "laws.py", "--out", "inspected", "--draws", 20)
    assert inspect(*common).exit_code == 0
    assert (recipe / "inspected/observed.png").exists()
    vectors = ("measurement={kind: laws/sums}", "further=null", "composite=false")
    done = inspect(*common, *vectors, "generator={kind: dcgan, width: 2}", "discriminator={kind: mlp}")
    assert done.exit_code == 0, done.output
    assert "16, with gain reported" in done.stdout and "not said by the sensor" in done.stdout
    assert "standard deviation over theta" in done.stdout
    assert done.stdout.splitlines()[-2] == "Verdict: unknown"
    assert sorted(path.name for path in (recipe / "inspected").iterdir()) == ["inspect.json", "inspect.png"]


def test_recipes_that_are_wrong_end_with_2(recipe):
    missing = inspect("nowhere.yaml")
    wrong = inspect("tiny.yaml", "measurement.siz=4")
    none = inspect("tiny.yaml", "--draws", 0)
    assert [done.exit_code for done in (missing, wrong, none)] == [2, 2, 2]
    assert "did you mean 'size'?" in wrong.stderr
    assert [path.name for path in recipe.iterdir()] == ["tiny.yaml"]
