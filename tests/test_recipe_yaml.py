"""YAML 1.2 scalars, places, and everything that a recipe may not hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ambientkit.errors import Place, RecipeError
from ambientkit.recipe_yaml import MAX_DEPTH, MAX_NODES, MAX_PROBLEMS, from_plain, parse
from ambientkit.run_folder import as_yaml

SCALARS = {
    "2e-4": 2e-4,
    "1E3": 1000.0,
    "1.": 1.0,
    ".5": 0.5,
    "-0.5": -0.5,
    "010": 10,
    "+7": 7,
    "0o17": 15,
    "0x1f": 31,
    ".inf": math.inf,
    "-.Inf": -math.inf,
    "true": True,
    "FALSE": False,
    "null": None,
    "~": None,
    "": None,
    "on": "on",
    "yes": "yes",
    "Off": "Off",
    "1_000": "1_000",
    "12:30": "12:30",
    "2020-01-01": "2020-01-01",
    "'5'": "5",
    "!!str 5": "5",
    "!!float 5": 5.0,
    "=": "=",
    "nan": "nan",
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items())
def test_scalars_mean_what_yaml_1_2_says(text, value):
    read = parse(f"key: {text}", "f").plain()["key"]
    assert read == value
    assert type(read) is type(value)


def test_nan_is_a_number_that_the_models_then_refuse():
    assert math.isnan(parse("[.nan]", "f").plain()[0])


def test_every_value_knows_its_line_and_column():
    tree = parse("a:\n  bc: {d: 1, e: [2, 3]}\n", "f.yaml")
    places = {path: (node.place.line, node.place.column) for path, node in tree.leaves()}
    assert places == {("a", "bc", "d"): (2, 8), ("a", "bc", "e", 0): (2, 18), ("a", "bc", "e", 1): (2, 21)}
    assert tree.nearest(("a", "bc", "missing", 0)).place == Place("f.yaml", 2, 3)
    assert tree.find(("a", "missing")) is None


REFUSED = {
    "a: 1\nb: 2\na: 3": ["f:3:1: a: duplicate key 'a'; the first is at f:1:1"],
    "{a: {b: 1, b: 2}, c: 1, c: 2}": [
        "f:1:12: a.b: duplicate key 'b'; the first is at f:1:6",
        "f:1:25: c: duplicate key 'c'; the first is at f:1:19",
    ],
    "a:\n\tb: 1": ["f:2:1: a tab where YAML allows none; indent with spaces"],
    "1: a": ["f:1:1: the key '1' is not text; write it in quotes if it is meant as text"],
    "true: a": ["f:1:1: the key 'true' is not text; write it in quotes if it is meant as text"],
    "!mine a: b": ["f:1:1: the key 'a' is not text; write it in quotes if it is meant as text"],
    "[a]: b": ["f:1:1: a key must be text, not a list or a mapping"],
    "a: &x {b: 1}\nc:\n  <<: *x": [
        "f:3:3: c: merge keys ('<<') are not allowed; use 'extends', or write the keys out"
    ],
    "a: !!python/name:os.system": [
        "f:1:1: a: the tag '!!python/name:os.system' is not allowed; recipes hold plain data only"
    ],
    "a: !mine {b: 1}": ["f:1:1: a: the tag '!mine' is not allowed; recipes hold plain data only"],
    "!!set {a, b}": ["f:1:1: the tag '!!set' is not allowed; recipes hold plain data only"],
    "a: !!int x": ["f:1:1: a: 'x' is not an integer below 2**64"],
    "a: 99999999999999999999": ["f:1:1: a: '99999999999999999999' is not an integer below 2**64"],
    "a: !!bool maybe": ["f:1:1: a: 'maybe' is not a bool"],
    'a: "\\ud800"': ["f:1:1: a: '\\ud800' is not valid Unicode"],
    'a: "\\UFFFFFFFF"': ["f: not valid YAML: an escaped character is out of range"],
    "a: &x [1, *x]": ["f:1:4: a.1: an alias that contains itself; write the value out"],
    "a: *x": ["f:1:4: not valid YAML: found undefined alias 'x'"],
    "a: 1\n---\nb: 2": ["f:2:1: a second document begins here; keep one recipe in a file"],
    "a: \x07": ["f:1:4: the character '\\x07' is not allowed"],
    "a: {b: 1": [
        "f:1:9: not valid YAML: while parsing a flow mapping: expected ',' or '}', but got '<stream end>'"
    ],
    "a: b: c": ["f:1:5: not valid YAML: mapping values are not allowed here"],
    "[" * (MAX_DEPTH + 1): ["f:1:51: nested more than 50 deep"],
}


@pytest.mark.parametrize(("text", "messages"), REFUSED.items())
def test_what_a_recipe_may_not_hold_is_refused_at_its_place(text, messages):
    with pytest.raises(RecipeError) as caught:
        parse(text, "f")
    assert [str(problem) for problem in caught.value.problems] == messages


def test_aliases_are_expanded_within_bounds():
    assert parse("a: &x [1]\nb: *x", "f").plain() == {"a": [1], "b": [1]}
    laughs = ["l0: &l0 [ha, ha, ha, ha, ha, ha, ha, ha]"]
    laughs += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 8)}]" for i in range(1, 20)]
    with pytest.raises(RecipeError, match=f"more than {MAX_NODES} values"):
        parse("\n".join(laughs), "f")


def test_aliases_may_not_nest_deeper_than_text_may():
    deep = ["l0: &l0 1"] + [f"l{i}: &l{i} [*l{i - 1}]" for i in range(1, 60)]
    with pytest.raises(RecipeError, match="nested more than 50 deep once aliases are expanded"):
        parse("\n".join(deep), "f")


def test_a_file_with_too_many_values_is_not_read_to_its_end():
    with pytest.raises(RecipeError, match="f:20000:3: more than 10000 values"):
        parse("- 1\n" * 30_000, "f")


def test_a_file_that_is_wrong_in_every_line_is_not_reported_to_the_last():
    with pytest.raises(RecipeError) as caught:
        parse("a: 1\n" * 500, "f")
    assert len(caught.value.problems) == MAX_PROBLEMS


def test_plain_data_become_a_tree_with_one_place():
    tree = from_plain({"a": (1, 2.5), "b": [True, None, "x"]}, Place("here"))
    assert tree.plain() == {"a": [1, 2.5], "b": [True, None, "x"]}
    assert {str(node.place) for _, node in tree.leaves()} == {"here"}


def test_numbers_of_numpy_are_numbers():
    """As a sweep over np.arange has them."""
    plain = from_plain({"a": np.int64(3), "b": np.float32(0.5)}, Place("here")).plain()
    assert plain == {"a": 3, "b": 0.5} and [type(value) for value in plain.values()] == [int, float]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({1: 2}, "here: the key 1 is not text"),
        ({"a": [object()]}, "here: a.0: object is not plain data (text, numbers, lists, mappings)"),
        ({"a": 2**64}, "here: a: the number is too large"),
    ],
)
def test_what_yaml_could_not_hold_is_refused(data, message):
    with pytest.raises(RecipeError) as caught:
        from_plain(data, Place("here"))
    assert str(caught.value) == message


def test_plain_data_that_hold_themselves_are_refused():
    endless: list = []
    endless.append(endless)
    with pytest.raises(RecipeError, match="nested more than 50 deep"):
        from_plain({"a": endless}, Place("here"))


PIECES = st.sampled_from(
    ["a", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ", ", "&x ", "*x", "!!int ", "'", '"']
)
WORDS = st.sampled_from(
    ["<<", "?", "|", ">", "#", "%", "@", "\\", "0x", "1e5", "~", "---", "...", "\t", "\ufeff"]
)


@given(st.one_of(st.text(), st.lists(st.one_of(PIECES, WORDS, st.characters()), max_size=40).map("".join)))
@settings(max_examples=200, deadline=None)
def test_no_text_raises_anything_but_a_recipe_error(text):
    try:
        parse(text, "f").plain()
    except RecipeError as error:
        assert error.problems


SCALAR = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False)


def trees(text):
    return st.recursive(
        SCALAR | text,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("abcxyz _-", max_size=5), inner, max_size=3)
        ),
    )


@given(trees(st.text(st.characters(exclude_categories=["Cs", "Nd"]), max_size=8)))
@settings(max_examples=200, deadline=None)
def test_what_pyyaml_writes_is_read_back(data):
    """Text with digits aside: `0E0` is a number in YAML 1.2, and PyYAML, of 1.1, writes it without quotes."""
    text = yaml.safe_dump(data, default_flow_style=None)
    try:
        read = parse(text, "f").plain()
    except RecipeError as error:
        assert "merge keys" in str(error)
    else:
        assert read == data


@given(trees(st.text(max_size=8) | st.text("0123456789.eE+-_xo:", max_size=6)))
@example("0E0")
@example("0o7")
@example("A\x85")
@settings(max_examples=200, deadline=None)
def test_what_a_run_writes_is_read_back(data):
    assert parse(as_yaml({"data": data}), "f").plain() == {"data": data}
