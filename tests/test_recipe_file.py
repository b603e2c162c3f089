"""Recipe files: found, read, merged with parents and overrides."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_fakes import BASE, FakePlugins, changed, train

from ambientkit import recipe_file
from ambientkit.errors import Place, RecipeError
from ambientkit.recipe_file import find, from_mapping, load, origins
from ambientkit.recipe_merging import _parsed_override, merged
from ambientkit.recipe_yaml import MAX_BYTES, from_plain

PLUGINS = FakePlugins()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name, data):
    Path(name).write_text(data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False))
    return name


def resolved(name, *overrides):
    return load(name, overrides, PLUGINS).resolved()


def message(call, *arguments):
    with pytest.raises(RecipeError) as caught:
        call(*arguments)
    return str(caught.value)


def test_a_file_loads_to_the_same_plan_as_its_data(folder):
    write("a.yaml", BASE)
    plan = load("a.yaml", [], PLUGINS)
    assert plan.resolved() == from_mapping(BASE, PLUGINS).resolved()
    assert plan.text == Path("a.yaml").read_text()
    assert load(Path("a.yaml"), [], PLUGINS).resolved() == plan.resolved()


def test_problems_name_the_file_the_line_and_the_column(folder):
    write("bad.yaml", yaml.safe_dump(BASE, sort_keys=False) + "  bacth_size: 3\n")
    line = Path("bad.yaml").read_text().count("\n")
    expected = f"bad.yaml:{line}:3: train.bacth_size: unknown key 'bacth_size'; did you mean 'batch_size'?"
    assert message(load, "bad.yaml", [], PLUGINS) == expected


def test_a_missing_key_is_reported_at_its_section(folder):
    write("bad.yaml", yaml.safe_dump({**BASE, "measurement": {"kind": "block"}}, sort_keys=False))
    assert message(load, "bad.yaml", [], PLUGINS) == "bad.yaml:10:1: measurement: missing key 'size'"


# Finding and reading


def test_a_shipped_recipe_is_found_by_its_name(folder, monkeypatch):
    shipped = folder / "shipped"
    shipped.mkdir()
    (shipped / "quickstart.yaml").write_text("recipe: 1")
    monkeypatch.setattr(recipe_file.resources, "files", lambda package: shipped)
    assert find("quickstart") == find("quickstart.yaml") == shipped / "quickstart.yaml"
    assert message(find, "quikstart") == (
        "quikstart: there is no file and no shipped recipe 'quikstart'; did you mean 'quickstart'?"
    )
    assert message(find, "zzz").endswith("shipped recipes: quickstart")
    write("quickstart.yaml", BASE)
    assert find("quickstart.yaml") == Path("quickstart.yaml")


def test_every_recipe_in_the_package_is_found():
    names = recipe_file.shipped()
    assert all(find(name) == path for name, path in names.items())
    folder = Path(__file__).parents[1] / "recipes"
    files = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")}
    assert set(names) == files
    assert "ambientgan/mnist_project" in files


def test_a_file_that_is_not_there_is_named_with_its_neighbour(folder):
    write("mine.yaml", BASE)
    assert message(find, "mien.yaml") == (
        "mien.yaml: there is no file and no shipped recipe 'mien.yaml'; did you mean 'mine.yaml'?"
    )
    assert message(find, "x\0y").startswith("x\0y: there is no file and no shipped recipe")
    assert message(find, "x\0y/z").startswith("x\0y/z: there is no file and no shipped recipe")
    assert "there is no file and no shipped recipe" in message(find, "x" * 300)
    Path("sub").mkdir()
    write("sub/mine.yaml", BASE)
    assert message(find, "sub/mien.yaml").endswith("did you mean 'sub/mine.yaml'?")


def test_a_folder_is_no_recipe(folder):
    (folder / "sub").mkdir()
    assert message(load, "sub", [], PLUGINS) == "sub: 'sub' is a folder, not a recipe; name a YAML file in it"


def test_text_that_is_not_utf_8_is_refused_at_its_place(folder):
    Path("latin.yaml").write_bytes("name: ok\nnote: caf\xe9".encode("latin-1"))
    found = message(load, "latin.yaml", [], PLUGINS)
    assert found == "latin.yaml:2:10: not UTF-8 text; save the file as UTF-8"


def test_windows_line_ends_and_a_byte_order_mark_are_read(folder):
    text = yaml.safe_dump(BASE, sort_keys=False)
    Path("win.yaml").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert resolved("win.yaml") == from_mapping(BASE, PLUGINS).resolved()


def test_a_file_too_large_is_refused(folder):
    write("big.yaml", "#" * (MAX_BYTES + 1))
    assert (
        message(load, "big.yaml", [], PLUGINS) == "big.yaml: larger than 1,000,000 bytes: this is no recipe"
    )


def test_an_empty_file_is_refused(folder):
    write("empty.yaml", "# nothing\n")
    assert message(load, "empty.yaml", [], PLUGINS) == (
        "empty.yaml: is empty; begin with 'recipe: 1', or copy a shipped recipe"
    )


def test_a_file_that_may_not_be_read_is_refused(folder, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    write("locked.yaml", BASE)
    monkeypatch.setattr(Path, "open", refuse)
    found = message(load, "locked.yaml", [], PLUGINS)
    assert found == "locked.yaml: cannot be read: Permission denied"


# Parents


def test_mappings_merge_and_lists_replace(folder):
    write("base.yaml", changed(metrics=[{"kind": "seam"}, {"kind": "spread"}]))
    write("child.yaml", {"extends": "base.yaml", "train": {"batch_size": 4}, "metrics": [{"kind": "truth"}]})
    made = resolved("child.yaml")
    assert (made["train"]["batch_size"], made["train"]["steps"]) == (4, 10)
    assert [metric["kind"] for metric in made["metrics"]] == ["truth"]


def test_a_changed_kind_drops_its_old_siblings_and_the_same_kind_keeps_them(folder):
    write("base.yaml", changed(measurement={"kind": "block", "size": 8, "fill": 0.5}))
    write("same.yaml", {"extends": "base.yaml", "measurement": {"kind": "block", "size": 4}})
    write("other.yaml", {"extends": "base.yaml", "measurement": {"kind": "keep"}})
    assert resolved("same.yaml")["measurement"]["fill"] == 0.5
    assert resolved("other.yaml")["measurement"] == {"kind": "keep", "size": 4, "keep": 1}


def test_one_length_of_training_drops_the_other(folder):
    write("base.yaml", BASE)
    write("child.yaml", {"extends": "base.yaml", "train": {"epochs": 2}})
    made = resolved("child.yaml")["train"]
    assert made["epochs"] == 2
    assert "steps" not in made
    write("both.yaml", {"extends": "base.yaml", "train": {"epochs": 2, "steps": 3}})
    assert "give either 'epochs' or 'steps'" in message(load, "both.yaml", [], PLUGINS)


def test_null_in_a_child_takes_a_section_away(folder):
    write("base.yaml", changed(further={"measurement": {"kind": "keep"}}))
    write("child.yaml", {"extends": "base.yaml", "further": None})
    assert resolved("child.yaml")["further"] is None


def test_a_chain_of_parents_is_relative_to_each_file(folder):
    Path("sub").mkdir()
    write("base.yaml", BASE)
    write("sub/middle.yaml", {"extends": "../base.yaml", "seed": 1})
    write("child.yaml", {"extends": "sub/middle.yaml", "name": "child"})
    made = resolved("child.yaml")
    assert (made["seed"], made["name"]) == (1, "child")


def test_places_lead_to_the_file_that_wrote_the_value(folder):
    write("base.yaml", "recipe: 1\ntrain:\n  steps: many\n  batch_size: 8\n")
    write("child.yaml", "extends: base.yaml\ntrain:\n  batch_size: few\n")
    lines = message(load, "child.yaml", [], PLUGINS).split("\n")
    assert "base.yaml:3:3: train.steps: must be an integer, not 'many'" in lines
    assert "child.yaml:3:3: train.batch_size: must be an integer, not 'few'" in lines
    assert origins("child.yaml", ["seed=3"]) == [
        ("recipe", 1, Place("base.yaml", 1, 1)),
        ("train.steps", "many", Place("base.yaml", 3, 3)),
        ("train.batch_size", "few", Place("child.yaml", 3, 3)),
        ("seed", 3, Place("override 'seed=3'")),
    ]


def test_parents_that_go_round_in_a_circle_are_refused(folder):
    write("a.yaml", {"extends": "b.yaml"})
    write("b.yaml", {"extends": "./a.yaml"})
    found = message(load, "a.yaml", [], PLUGINS)
    assert found == "b.yaml:1:1: extends: './a.yaml' extends itself, over 2 file(s)"
    write("self.yaml", {"extends": "self.yaml"})
    assert "extends itself" in message(load, "self.yaml", [], PLUGINS)


def test_ten_parents_are_allowed_and_eleven_are_not(folder):
    write("p0.yaml", BASE)
    for i in range(1, 12):
        write(f"p{i}.yaml", {"extends": f"p{i - 1}.yaml", "seed": i})
    assert resolved("p10.yaml")["seed"] == 10
    assert "more than 10 parents" in message(load, "p11.yaml", [], PLUGINS)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("missing.yaml", "there is no file and no shipped recipe 'missing.yaml'"),
        ("plugin.py", "'plugin.py' is no YAML file and no shipped recipe"),
        ("os.path", "'os.path' is no YAML file and no shipped recipe"),
        (["base.yaml"], "must be text: one YAML file or shipped recipe"),
        (None, "must be text: one YAML file or shipped recipe"),
    ],
)
def test_only_a_yaml_file_can_be_extended(folder, value, expected):
    Path("plugin.py").write_text("raise SystemExit('executed')")
    write("child.yaml", {"extends": value})
    assert message(load, "child.yaml", [], PLUGINS).startswith(f"child.yaml:1:1: extends: {expected}")


def test_a_parent_that_is_no_mapping_is_refused_in_its_own_place(folder):
    write("list.yaml", "- 1\n")
    write("child.yaml", {"extends": "list.yaml"})
    found = message(load, "child.yaml", [], PLUGINS)
    assert found == "list.yaml:1:1: a recipe must be a mapping of keys to values"


def test_a_mapping_may_extend_a_file(folder):
    write("base.yaml", BASE)
    made = from_mapping({"extends": "base.yaml", "seed": 7}, PLUGINS)
    assert (made.recipe.seed, made.recipe.name) == (7, "base")


# Overrides


def overridden(*overrides, recipe=BASE):
    return from_mapping(recipe, PLUGINS, overrides=overrides).resolved()


def test_overrides_are_read_by_the_rules_of_yaml():
    made = overridden("train.batch_size=32", "train.generator_optimizer.kind=adam", "seed=010", "name=on")
    assert made["train"]["batch_size"] == 32
    assert (made["seed"], made["name"]) == (10, "on")
    assert (
        overridden("train.generator_optimizer={kind: adam, lr: 1e-3}")["train"]["generator_optimizer"]["lr"]
        == 1e-3
    )


def test_an_override_may_replace_a_list_or_reach_into_it():
    recipe = changed(metrics=[{"kind": "seam"}, {"kind": "spread", "every": 3}])
    assert overridden("metrics.1.every=5", recipe=recipe)["metrics"][1] == {"kind": "spread", "every": 5}
    assert overridden("metrics.0.kind=truth", recipe=recipe)["metrics"][0]["kind"] == "truth"
    assert overridden("data.image_size.0=16")["data"]["image_size"] == [16, 32]
    assert overridden("metrics=[]", recipe=recipe)["metrics"] == []
    made = overridden("fidelity=[{kind: consistency, weight: 3}]")
    assert made["fidelity"] == [{"kind": "consistency", "weight": 3.0}]


def test_an_override_of_a_kind_drops_the_old_options_but_none_that_is_given():
    assert overridden("measurement.kind=keep")["measurement"] == {"kind": "keep", "size": 4, "keep": 1}
    for order in (
        ["measurement.kind=keep", "measurement.keep=2"],
        ["measurement.keep=2", "measurement.kind=keep"],
    ):
        assert overridden(*order)["measurement"]["keep"] == 2


def test_an_override_of_a_length_drops_the_other_length():
    assert "steps" not in overridden("train.epochs=2")["train"]
    assert "epochs" not in overridden("train.steps=2")["train"]


def test_an_override_makes_the_mappings_on_its_way():
    made = overridden("further.measurement.kind=keep", "further.probability=0.5", "train.checkpoints.every=5")
    assert made["further"] == {
        "measurement": {"kind": "keep", "size": 4, "keep": 1},
        "probability": 0.5,
        "completed_first": False,
    }
    assert made["train"]["checkpoints"]["every"] == 5


def test_an_override_takes_away_with_null():
    assert (
        overridden("discriminator=null", "objective=~", "fidelity=[{kind: consistency}]")["objective"] is None
    )


WRONG = {
    "train.bacth_size=32": "train.bacth_size: unknown key 'bacth_size'; did you mean 'batch_size'?",
    "trian.steps=3": "trian: unknown key 'trian'; did you mean 'train'?",
    "train.batch_size=many": "train.batch_size: must be an integer, not 'many'",
    "train.batch_size": "has no '='; write KEY=VALUE, such as train.batch_size=32",
    "=3": "has an empty key; write KEY=VALUE, such as train.batch_size=32",
    "train..steps=3": "has an empty key; write KEY=VALUE, such as train.batch_size=32",
    "seed=[1": "not valid YAML: while parsing a flow sequence: expected ',' or ']', but got '<stream end>'",
    "seed=!!python/name:os.system": "the tag '!!python/name:os.system' is not allowed; "
    "recipes hold plain data only",
    "data.image_size.2=3": "data.image_size: there is no item 2; indices go from 0 to 1",
    "data.image_size.-1=3": "data.image_size: is a list, so '-1' must be an index; such as 0",
    "name.of=3": "name.of: there is no key 'of' here; name holds a plain value",
    "extends=other.yaml": "'extends' cannot be overridden; write it in the recipe",
}


@pytest.mark.parametrize(("override", "expected"), WRONG.items())
def test_a_wrong_override_is_named_with_what_is_wrong(override, expected):
    assert message(from_mapping, BASE, PLUGINS, "r", [override]) == f"override {override!r}: {expected}"


def test_an_index_into_an_empty_list_is_out_of_range():
    found = message(from_mapping, changed(metrics=[]), PLUGINS, "r", ["metrics.0.every=5"])
    assert found == "override 'metrics.0.every=5': metrics: there is no item 0; the list is empty"


def test_the_problems_of_all_overrides_come_at_once():
    found = message(from_mapping, BASE, PLUGINS, "r", ["seed", "name.a=1", "train.steps=1", "train.epochs=2"])
    assert found.split("\n") == [
        "override 'name.a=1': name.a: there is no key 'a' here; name holds a plain value",
        "override 'seed': has no '='; write KEY=VALUE, such as train.batch_size=32",
        "override 'train.epochs=2': train.epochs: 'train.steps' is given too; give one of them",
    ]


def test_the_same_override_twice_is_refused_and_not_ignored():
    found = message(from_mapping, BASE, PLUGINS, "r", ["seed=1", "seed=2"])
    assert found == "override 'seed=2': seed: is given twice on the command line"


@pytest.mark.parametrize(
    "overrides",
    [
        ("measurement.size=3", "measurement={kind: keep, size: 5}"),
        ("measurement={size: 5}", "measurement.kind=keep"),
        ("metrics.0.kind=truth", "metrics=[{kind: seam}]"),
        ("train.generator_optimizer.lr=0.1", "train={generator_optimizer: {kind: sgd, lr: 0.5}}"),
    ],
)
def test_a_value_that_another_override_holds_too_is_refused_in_either_order(overrides):
    for order in (overrides, overrides[::-1]):
        assert "is given twice on the command line" in message(from_mapping, BASE, PLUGINS, "r", list(order))


def test_both_lengths_of_a_run_are_refused_inside_another_override_too():
    for order in (["train={steps: 10}", "train.epochs=5"], ["train.epochs=5", "train={steps: 10}"]):
        found = message(from_mapping, BASE, PLUGINS, "r", order)
        assert (
            found == "override 'train.epochs=5': train.epochs: 'train.steps' is given too; give one of them"
        )
    recipe = from_mapping(BASE, PLUGINS, "r", ["train={steps: null}", "train.epochs=5"]).recipe
    assert recipe.train.epochs == 5


def test_the_whole_goes_before_its_parts_in_either_order():
    for order in (
        ["metrics.0.every=5", "metrics=[{kind: spread}]"],
        ["metrics=[{kind: spread}]", "metrics.0.every=5"],
    ):
        assert overridden(*order)["metrics"][0] == {"kind": "spread", "every": 5}


def test_to_name_the_kind_that_is_the_default_changes_nothing_else():
    parent = changed(train={**BASE["train"], "generator_optimizer": {"lr": 0.123}})
    made = overridden("train.generator_optimizer.kind=adam", recipe=parent)
    assert made["train"]["generator_optimizer"]["lr"] == 0.123


# Whatever is written


KEY = st.sampled_from([*BASE, "kind", "size", "steps", "epochs", "further", "metrics", "extends", "x"])
LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**70),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["block", "seam"]),
)
DATA = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(KEY, DATA, max_size=6), st.booleans())
@settings(max_examples=200, deadline=None)
def test_no_structure_raises_anything_but_a_recipe_error(data, over_a_sound_one):
    recipe = {**BASE, **data} if over_a_sound_one else data
    try:
        made = from_mapping(recipe, PLUGINS).resolved()
    except RecipeError as error:
        assert error.problems
    else:
        assert from_mapping(made, PLUGINS).resolved() == made


@given(
    st.lists(
        st.tuples(st.lists(KEY | st.integers(-1, 2).map(str), max_size=3), st.text(max_size=6)), max_size=3
    )
)
@settings(max_examples=200, deadline=None)
def test_no_override_raises_anything_but_a_recipe_error(pairs):
    overrides = [f"{'.'.join(keys)}={text}" for keys, text in pairs]
    try:
        from_mapping(changed(metrics=[{"kind": "seam"}]), PLUGINS, overrides=overrides)
    except RecipeError as error:
        assert all(problem.message for problem in error.problems)


@given(DATA, DATA)
@settings(max_examples=100, deadline=None)
def test_merging_over_itself_changes_nothing_and_an_empty_mapping_adds_nothing(one, other):
    place = Place("x")
    try:
        a, b = from_plain(one, place), from_plain(other, place)
    except RecipeError:
        return
    assert repr(merged(a, a).plain()) == repr(a.plain())
    both = merged(a, b)
    assert repr(merged(both, b).plain()) == repr(both.plain())


def test_a_batch_size_of_the_parent_can_be_overridden(folder):
    write("base.yaml", changed(train=train(batch_size=16)))
    write("child.yaml", {"extends": "base.yaml"})
    assert resolved("child.yaml", "train.batch_size=2")["train"]["batch_size"] == 2


@pytest.mark.parametrize("colour", ["#000000", " #FFF "])
def test_an_override_that_begins_as_a_comment_is_text(colour):
    assert _parsed_override(f"data.source.key_colour={colour}")[1].plain() == colour.strip()
    assert _parsed_override("a.b=3 # three")[1].plain() == 3


def test_an_optimiser_without_a_kind_is_adam():
    tree = {**BASE, "train": {**BASE["train"], "generator_optimizer": {"lr": 1e-4}}}
    plan = from_mapping(tree, FakePlugins(), overrides=["train.discriminator_optimizer.betas=[0, 0.9]"])
    train = plan.recipe.train
    assert (train.generator_optimizer.kind, train.generator_optimizer.lr) == ("adam", 1e-4)
    assert (train.discriminator_optimizer.kind, train.discriminator_optimizer.betas) == ("adam", (0, 0.9))
    with pytest.raises(RecipeError, match=r"train\.generator_optimizer: unknown key 'alpha'|alpha"):
        from_mapping(tree, FakePlugins(), overrides=["train.generator_optimizer.alpha=1"])
