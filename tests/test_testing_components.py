"""Components against their declarations, and every built-in in every option corner."""

from __future__ import annotations

import gzip
import re
import struct
import tarfile
from pathlib import Path
from typing import Annotated, Literal

import faulty_components as faulty
import numpy as np
import pytest
from PIL import Image
from pydantic import Field, model_validator

from ambientkit import Component, Context, Engine, Options
from ambientkit.errors import PluginError
from ambientkit.registry import KNOWN_FACTS
from ambientkit.testing import (
    COMPONENT_CHECKS,
    ComponentCase,
    ContractError,
    check_component,
    fitting_context,
    option_corners,
)
from ambientkit.testing.components import choice_of

REGISTRY = Engine(discover=False).plugins.registry
SMALL = {
    "glcic": {"width": 4},
    "unet": {"width": 2},
    "resunet": {"width": 4},
    "dcgan": {"width": 4},
    "patch": {"width": 4},
    "sngan": {"width": 4},
    "r3gan": {"width": 4, "group": 2},
    "resnet": {"width": 4, "latent": 8},
    "mlp": {"widths": (8,)},
    "toy_faces": {"count": 5},
}
"""Sizes at which built-ins are tested, so that corners take no time."""

# Data sets that are read from files -------------------------------------------------------------


def pictures(place: Path) -> dict[str, object]:
    dice = np.random.default_rng(0)
    for name in ("a.png", "b.png", "c.png"):
        pixels = dice.integers(0, 256, (20, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / name)
    return {"root": place}


def shards(place: Path) -> dict[str, object]:
    pictures(place)
    with tarfile.open(place / "shard.tar", "w") as archive:
        for file in sorted(place.glob("*.png")):
            archive.add(file, file.name)
    return {"root": place}


def table(place: Path) -> dict[str, object]:
    pictures(place)
    return {"path": str(place)}


def celeba(place: Path) -> dict[str, object]:
    for index in range(1, 4):
        Image.new("RGB", (178, 218), (40 * index, 90, 10)).save(place / f"{index:06d}.jpg")
    return {"root": place, "download": False}


def digits(place: Path) -> dict[str, object]:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    header = struct.pack(">4I", 0x803, 4, 28, 28)
    for part in ("train", "t10k"):
        (place / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + pixels.tobytes()))
    return {"root": place, "download": False}


def holes(place: Path) -> dict[str, object]:
    dice = np.random.default_rng(0)
    hidden = np.zeros((4, 16, 16), dtype=bool)
    hidden[:, 4:9, 3:8] = True
    file = place / "incomplete.npz"
    np.savez(file, images=dice.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8), hidden=hidden)
    return {"source": file}


def projections(place: Path) -> dict[str, object]:
    dice = np.random.default_rng(0)
    file = place / "measured.npz"
    np.savez(file, y=dice.standard_normal((4, 3, 16, 16)).astype(np.float32), known_angle=np.arange(4.0))
    return {"file": file}


FILES = {
    "image_folder": pictures,
    "tar_shards": shards,
    "hugging_face": table,
    "celeba": celeba,
    "mnist": digits,
    "fashion_mnist": digits,
    "incomplete": holes,
    "masks_of_incomplete": holes,
    "measured_array": projections,
}
WITHOUT_FILES = {"toy_faces"}
NOT_TESTED = {"cifar10"}  # torchvision knows its files by their digests, so none can be made up
OF_OTHER_FILES = {
    ("incomplete", "dilate=256"): "no pixel is left of pictures that are 16 pixels wide",
    ("masks_of_incomplete", "dilate=256"): "as above",
    ("measured_array", "observed=True"): "the file has no array `observed`",
    ("measured_array", "image_shape=(1, 1, 1)"): "the pictures in the file are larger",
    ("measured_array", "image_shape=(2, 2, 2)"): "the pictures in the file are larger",
    ("measured_array", "layout=channels_last"): "the file has channels first",
}
"""Corners that are about what is in the file, and are tested with the data set itself."""


def test_every_data_set_is_tested_or_named():
    names = {entry.name for entry in REGISTRY if entry.category == "dataset"}
    assert names == set(FILES) | WITHOUT_FILES | NOT_TESTED


@pytest.mark.parametrize("name", FILES)
def test_built_in_data_sets_pass_in_every_corner(name, tmp_path):
    entry = REGISTRY.find("dataset", name)
    corners = option_corners(entry.component.options, FILES[name](tmp_path))
    assert {label for other, label in OF_OTHER_FILES if other == name} <= set(corners)
    seen = 0
    for label, options in corners.items():
        choice = choice_of(entry, options=options)
        context = Context(image_size=(16, 16))
        if (name, label) in OF_OTHER_FILES or any(not each.warning for each in choice.complaints(context)):
            continue
        check_component(choice, context=context)
        seen += 1
    assert seen >= 1


# All other built-ins ----------------------------------------------------------------------------


def corners_of_built_ins():
    entries = [entry for entry in REGISTRY if entry.category != "measurement"]
    for entry in entries:
        if entry.category != "dataset" or entry.name in WITHOUT_FILES:
            for label, options in option_corners(entry.component.options, SMALL.get(entry.name)).items():
                yield pytest.param(entry, options, id=f"{entry.category}-{entry.name}-{label}")


CORNERS = list(corners_of_built_ins())


@pytest.mark.parametrize(("entry", "options"), CORNERS)
def test_built_ins_pass_in_every_corner(entry, options):
    findings = check_component(entry, options=options)
    assert sum(finding.outcome == "passed" for finding in findings) >= 10


def test_the_corners_are_many_and_of_every_category():
    tested = {param.values[0].category for param in CORNERS}
    assert tested == {entry.category for entry in REGISTRY} - {"measurement"}
    assert len(CORNERS) > 50


# Faulty components ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", faulty.FAULTY_COMPONENTS)
def test_a_faulty_component_is_found_by_one_check(name):
    (category, component), check = faulty.FAULTY_COMPONENTS[name]
    context = Context((16, 16), (3, 16, 16), (3, 16, 16))
    with pytest.raises(ContractError) as caught:
        check_component(component, category, context=context)
    assert [failure.check for failure in caught.value.failures] == [check]


def test_every_check_has_a_faulty_component():
    assert {check.name for check in COMPONENT_CHECKS} == {
        check for _, check in faulty.FAULTY_COMPONENTS.values()
    }


def test_the_known_facts_are_those_that_options_are_told_of():
    told = set(re.findall(r"`([a-z_]+)`", (Options.facts.__doc__ or "").partition("Others find them")[0]))
    assert told
    assert frozenset().union(*KNOWN_FACTS.values()) == told


def test_the_contract_of_what_is_built_is_checked_too():
    category, component = faulty.component(faulty.GameOptions, lambda options, context: object())
    with pytest.raises(ContractError, match="both_players_get_terms"):
        check_component(component, category)


# Options and contexts ---------------------------------------------------------------------------


class Corners(Options):
    """Options of every type."""

    kind: Literal["a", "b"] = "a"
    """One of two."""
    on: bool = False
    """A switch."""
    share: float = Field(0.5, gt=0, lt=1)
    """Between 0 and 1."""
    count: int = Field(2, ge=1, le=10_000)
    """Too many to try."""
    limit: float | None = Field(None, ge=-1, le=1)
    """None, or in [-1, 1]."""
    sizes: Annotated[int, Field(ge=3)] | tuple[Annotated[int, Field(ge=3)], int] = 5
    """One, or two of which one has no bound."""
    widths: tuple[Annotated[int, Field(ge=1)], ...] = (4, 4)
    """Any number of them."""
    text: str = "free"
    """Nothing to try."""

    @model_validator(mode="after")
    def not_both(self):
        if self.on and self.kind == "b":
            raise ValueError("not both")
        return self


def test_option_corners_are_one_change_each():
    assert set(option_corners(Corners)) == {
        "defaults",
        "kind=b",
        "on=True",
        "share=0.001",
        "share=0.999",
        "count=1",
        "limit=-1.0",
        "limit=1.0",
        "sizes=3",
        "sizes=4",
        "widths=()",
        "widths=(1,)",
        "widths=(2,)",
    }


def test_corners_keep_what_is_required_and_leave_out_what_is_refused():
    corners = option_corners(Corners, {"kind": "b", "count": 3})
    assert "on=True" not in corners
    assert {(options.kind, options.count) for options in corners.values()} == {("b", 3)}


def test_options_without_a_default_are_asked_for():
    with pytest.raises(PluginError, match="root; give `required`"):
        option_corners(REGISTRY.find("dataset", "image_folder").component.options)


def test_a_size_is_found_that_suits_the_component():
    choice = choice_of(REGISTRY.find("generator", "unet"), options={"depth": 6, "width": 2})
    assert fitting_context(choice).image_shape == (3, 64, 64)


def test_a_size_without_a_warning_is_preferred():
    choice = choice_of(REGISTRY.find("measurement", "block_patch"), options={"size": 28})
    context = fitting_context(choice)
    assert min(context.image_size) >= 56  # so that every pixel is seen in some picture
    assert not context.data_masks.all(0).any()


def test_a_size_with_a_warning_is_better_than_none():
    class Warns(faulty.GameOptions):
        """A game with a warning."""

        def complaints(self, context):
            yield faulty.Complaint("target", "it is Monday", warning=True)

    choice = choice_of(Component("warns", Warns, faulty.game), "objective")
    assert fitting_context(choice).image_size == (16, 16)


def test_grey_pictures_are_tried():
    class Grey(faulty.GameOptions):
        """A game for grey pictures."""

        def complaints(self, context):
            if context.image_shape and context.image_shape[0] != 1:
                yield faulty.Complaint("", "it takes grey pictures")

    choice = choice_of(Component("grey", Grey, faulty.game), "objective")
    assert fitting_context(choice).image_shape == (1, 16, 16)


def test_a_failure_may_be_waived_with_a_reason():
    (category, component), check = faulty.FAULTY_COMPONENTS["a fact that does not hold"]
    waived = {check: "the fact is about a later version", "the_generator_gets_a_gradient": "see there"}
    with pytest.raises(ContractError) as caught:
        check_component(component, category, waived=waived)
    assert [failure.check for failure in caught.value.failures] == ["the_generator_gets_a_gradient"]
    assert "remove the waiver" in str(caught.value)


def test_a_component_that_suits_no_size_is_refused_with_its_complaint():
    class Never(faulty.GameOptions):
        """A game for no picture."""

        def complaints(self, context):
            yield faulty.Complaint("", "it is Sunday")

    with pytest.raises(PluginError, match="it is Sunday"):
        check_component(Component("never", Never, faulty.game), "objective")


@pytest.mark.parametrize(
    ("complaints", "told"),
    [(["too large"], "`complaints` yielded a str"), (True, "'bool' object is not iterable")],
    ids=["no records", "no list"],
)
def test_complaints_that_cannot_be_read_are_a_finding(complaints, told):
    class Wrong(faulty.GameOptions):
        """A game whose complaints are none."""

        def complaints(self, context):
            return complaints

    with pytest.raises(ContractError) as caught:
        check_component(Component("wrong", Wrong, faulty.game), "objective")
    (failure,) = caught.value.failures
    assert failure.check == "complaints_are_records_about_options" and told in str(failure)


def test_a_bare_component_needs_its_category():
    with pytest.raises(PluginError, match="category is None"):
        check_component(Component("thing", faulty.GameOptions, faulty.game))


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(PluginError, match="target"):
        check_component(
            Component("thing", faulty.GameOptions, faulty.game), "objective", options={"target": 2}
        )


def test_options_that_name_other_components_are_built_with_them():
    plugins = Engine(discover=False).plugins
    entry = plugins.require("measurement", "sequence")
    listed = [name for name, category in entry.component.options.nested.items() if category == "measurement"]
    choice = choice_of(entry, options={listed[0]: [{"kind": "block_patch", "size": 6}]}, plugins=plugins)
    case = ComponentCase(choice, fitting_context(choice))
    assert len(case.built.parts) == 1


def test_no_corner_fetches_anything():
    seen = 0
    for entry in REGISTRY:
        fields = entry.component.options.model_fields
        if "download" in fields:
            corners = option_corners(entry.component.options)
            assert not any(corner.download for corner in corners.values())
            seen += 1
    assert seen == 4
