"""The JSON schema: what editors accept is what the loader accepts, plugins included."""

from __future__ import annotations

import copy

import pytest
from jsonschema import Draft202012Validator
from recipe_fakes import BASE, TABLE, FakePlugins, changed, data, train

from ambientkit.errors import RecipeError
from ambientkit.plugins import Plugins
from ambientkit.recipe_file import from_mapping
from ambientkit.recipe_schema import schema
from ambientkit.recipe_yaml import parse
from ambientkit.registry import Registry

pytestmark = pytest.mark.smoke

PLUGINS = FakePlugins()
SCHEMA = schema(PLUGINS.registry)
WHOLE = changed(
    composite=True,
    further={"measurement": {"kind": "keep"}, "probability": 0.7},
    fidelity=[{"kind": "held_out", "weight": 10, "norm": "l1"}],
    evaluation={"measurement": None},
    data=data(holdout={"one_in": 10}, flip=False),
    train={
        "epochs": 25,
        "batch_size": 64,
        "batches": "shared",
        "generator_optimizer": {"kind": "adam", "lr": 2e-4, "betas": [0.5, 0.999]},
        "ema_decay": None,
    },
    metrics=[{"kind": "seam", "every": 2500}],
    callbacks=[{"kind": "grid", "every": 500}],
)


def accepts(recipe):
    return Draft202012Validator(SCHEMA).is_valid(recipe)


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("recipe", [BASE, WHOLE, changed(further=None, discriminator=None, fidelity=[])])
def test_a_sound_recipe_is_accepted(recipe):
    assert accepts(recipe)


def test_a_resolved_recipe_is_accepted():
    assert accepts(from_mapping(WHOLE, PLUGINS).resolved())


WRONG = {
    "typo at the top": changed(sed=1),
    "typo in a section": changed(train=train(bacth_size=1)),
    "typo in an option": changed(measurement={"kind": "block", "sise": 3}),
    "missing option": changed(measurement={"kind": "block"}),
    "unknown kind": changed(measurement={"kind": "blok"}),
    "option out of bounds": changed(measurement={"kind": "block", "size": 0}),
    "another's option": changed(measurement={"kind": "keep", "fill": 0}),
    "wrong type": changed(train=train(batch_size="32")),
    "unknown optimiser": changed(train=train(generator_optimizer={"kind": "adm"})),
    "no kind": changed(generator={}),
    "a fidelity without weight": changed(fidelity=[{"kind": "consistency", "weight": 0}]),
    "every of a sensor": changed(measurement={"kind": "block", "size": 3, "every": 3}),
    "missing section": {key: value for key, value in BASE.items() if key != "train"},
}


@pytest.mark.parametrize("recipe", WRONG.values(), ids=WRONG)
def test_what_the_loader_refuses_the_schema_refuses(recipe):
    assert not accepts(recipe)
    with pytest.raises(RecipeError):
        from_mapping(recipe, PLUGINS)


def test_a_child_may_leave_anything_out_but_not_misspell_a_section():
    assert accepts({"extends": "base.yaml", "measurement": {"size": 3}})
    assert not accepts({"extends": "base.yaml", "mesurement": {"size": 3}})
    assert not accepts({"extends": ["base.yaml"]})


def test_every_component_is_a_branch_told_apart_by_its_kind():
    for category, table in TABLE.items():
        choice = SCHEMA["$defs"][f"any.{category}"]
        assert choice["discriminator"]["propertyName"] == "kind"
        assert len(choice["oneOf"]) == len(table)
        assert (
            set(choice["discriminator"]["mapping"]) == set(choice["properties"]["kind"]["enum"]) == set(table)
        )
    haze = SCHEMA["$defs"]["measurement.fog.haze"]
    assert haze["properties"]["kind"] == {"const": "fog/haze", "description": "Haze."}
    assert set(haze["required"]) == {"kind", "beta"}
    assert SCHEMA["$defs"]["fidelity.held_out"]["properties"]["weight"]["exclusiveMinimum"] == 0
    assert (
        SCHEMA["$defs"]["measurement.block"]["properties"]["fill"]["description"] == "Value of hidden pixels."
    )


def test_every_reference_leads_somewhere():
    found = list(references(SCHEMA))
    assert found
    assert [ref for ref in found if ref.removeprefix("#/$defs/") not in SCHEMA["$defs"]] == []


def references(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(inner)


def test_the_schema_is_new_each_time_and_the_models_are_not_changed():
    before = copy.deepcopy(SCHEMA)
    schema(PLUGINS.registry)["$defs"].clear()
    assert schema(PLUGINS.registry) == before


def test_without_any_plugin_no_component_is_accepted():
    empty = schema(Registry())
    Draft202012Validator.check_schema(empty)
    assert not Draft202012Validator(empty).is_valid(BASE)


DESIGN = """
recipe: 1
name: celeba_block
seed: 0
data: {source: {kind: celeba, root: data, crop: 0.5}, image_size: [64, 64], holdout: 2000, seed: 0}
measurement: {kind: block_patch, size: 28, fill: 1.0}
generator: {kind: glcic, width: 64}
composite: true
discriminator: {kind: dcgan, width: 64, norm: none, spectral_norm: true, mask_channel: true}
objective: {kind: hinge}
further: null
fidelity: []
evaluation: {measurement: null}
train:
  epochs: 25
  batch_size: 64
  discriminator_updates: 1
  generator_updates: 2
  batches: shared
  generator_optimizer: {kind: adam, lr: 2e-4, betas: [0.5, 0.999]}
  discriminator_optimizer: {kind: adam, lr: 2e-4, betas: [0.5, 0.999]}
  ema_decay: 0.999
metrics: [{kind: hidden_psnr, every: 2500}]
callbacks: [{kind: image_grid, every: 500}]
"""


def test_the_example_of_the_design_is_accepted_with_the_built_in_components():
    plugins = Plugins.discover()
    built_in = Draft202012Validator(schema(plugins.registry))
    example = parse(DESIGN, "design.md").plain()
    assert [error.message for error in built_in.iter_errors(example)] == []
    assert from_mapping(example, plugins).warnings == ()
    assert not built_in.is_valid({**example, "sed": 1})


def test_every_field_of_a_recipe_is_described():
    sections = [held for name, held in SCHEMA["$defs"].items() if name[0].isupper() and name != "Child"]
    assert len(sections) >= 10
    undescribed = [
        (section["title"], key)
        for section in sections
        for key, held in section["properties"].items()
        if not held.get("description")
    ]
    assert undescribed == []
