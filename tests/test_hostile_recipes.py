"""Recipes that mean harm or are nonsense: one error of ours at most, within two seconds and 200 MB.

The fuzzing is three properties, 100 cases each. All of it, by a multiple of that:

    AMBIENTKIT_FUZZ_CASES=10000 pytest -m slow tests/test_hostile_recipes.py
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine_recipes import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ambientkit import Engine, recipe_file
from ambientkit.errors import LONGEST, MOST_SHOWN, AmbientkitError, RecipeError
from ambientkit.recipe_yaml import parse

SECONDS, MEGABYTES = 2.0, 200
CASES = 300
ENGINE = Engine(discover=False)
SHIPPED = {name: parse(path.read_text("utf-8"), name).plain() for name, path in recipe_file.shipped().items()}
BASE = yaml.safe_dump(tiny())


def peak() -> float:
    """The most memory that this process ever had, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def slowness() -> float:
    """How many times as long as the quiet Xeon on which SECONDS was set this machine takes now."""
    begun = time.process_time()
    for number in range(1_000_000):
        str(number)
    return max(1.0, (time.process_time() - begun) / 0.1)


@contextmanager
def bounded() -> Iterator[None]:
    """Time of the processor, of which two tests on one core's two threads take twice as much; what the peak
    grew by bounds what was used."""
    begun, before = time.process_time(), peak()
    yield
    spent = time.process_time() - begun
    traced = sys.gettrace() is not None  # by coverage, which takes several times as long
    assert spent < (10 if traced else 2) * SECONDS or spent < 2 * SECONDS * slowness()
    assert peak() - before < MEGABYTES


def outcome(call: Callable[[], Any]) -> str:
    """ "" where it works, else the message of the one error that may be raised."""
    with bounded():
        try:
            call()
        except AmbientkitError as error:
            return str(error)
    return ""


# By hand ----------------------------------------------------------------------------------------


def many(line: str, count: int) -> str:
    return "".join(line.format(i=i) for i in range(count))


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(12)
)
TEXTS = {
    "billion laughs": LAUGHS,
    "billion laughs in mappings": "a: &a {x: 1}\n"
    + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} {{{','.join(f'k{n}: *{chr(97 + i)}' for n in range(9))}}}\n"
        for i in range(12)
    ),
    "an alias to itself": "a: &a [*a]\n",
    "brackets": "[" * 990_000,
    "braces": "{a: " * 240_000,
    "dashes": "- " * 490_000,
    "question marks": "? " * 490_000,
    "anchors": "&a " * 300_000,
    "tags": "!a " * 300_000,
    "directives": "%FOO bar\n" * 100_000,
    "comments": "#\n" * 480_000,
    "documents": "---\n" * 200_000,
    "quotes": "'" * 990_000,
    "escapes": '"' + "\\x41" * 240_000 + '"',
    "colons": "a:" * 480_000,
    "a flow of keys": "{" + "a," * 480_000 + "}",
    "a long text": f"extra: {'a' * 990_000}\n{BASE}",
    "a long key": f"? {'a' * 900_000}\n: 1\n{BASE}",
    "a long number": f"extra: {'1' * 900_000}\n{BASE}",
    "a long fraction": f"extra: {'1' * 900_000}.5e9\n{BASE}",
    "a long text of lines": "a: x\n" + " y\n" * 300_000,
    "a block of lines": "a: |\n" + " x\n" * 300_000,
    "many unknown keys": many("abcdefg{i}: 1\n", 9000) + BASE,
    "many unknown keys of a section": BASE + many("  batch_siz{i}: 1\n", 9000),
    "many unknown callbacks": BASE + "callbacks:\n" + many("- kind: image_gri{i}\n", 4000),
    "many callbacks": BASE + "callbacks:\n" + many("- kind: jsonl\n  every: 1{i}\n", 2000),
    "many metrics": BASE + "metrics:\n" + many("- kind: hidden_l1\n", 3000),
    "many sensors": yaml.safe_dump(
        tiny(measurement={"kind": "sequence", "sensors": [{"kind": "block_patch", "size": 6}] * 3000})
    ),
    "no text": "\x00\x01",
    "half a surrogate": '"\\ud800"',
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_is_one_short_error_in_time(name, tmp_path):
    (tmp_path / "r.yaml").write_text(TEXTS[name])
    said = outcome(lambda: ENGINE.load(tmp_path / "r.yaml"))
    assert said or name in {"many callbacks", "many sensors"}  # those are only large
    assert len(said) < (MOST_SHOWN + 1) * 4 * (LONGEST + 10) and said.count("\n") <= MOST_SHOWN
    assert " failed: " not in said


def chain(folder: Path, text: str, count: int = 10) -> Path:
    """A recipe with so many parents, one over the other, each of them large."""
    for number in range(count + 1):
        parent = f"extends: c{number + 1}.yaml\n" if number < count else ""
        (folder / f"c{number}.yaml").write_text(parent + text.replace("KEY", f"k{number}"))
    return folder / "c0.yaml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("KEY: [" + "1," * 9000 + "]\n", "with its parents more than 10000 values"),
        ("KEY: 1\n" + "#" * 990_000, "with its parents larger than 1,000,000 bytes"),
    ],
    ids=["values", "bytes"],
)
def test_parents_together_are_no_larger_than_one_recipe_may_be(tmp_path, text, said):
    assert said in outcome(lambda: ENGINE.load(chain(tmp_path, text)))


def nested(value: Any, wide: int, deep: int) -> Any:
    for _ in range(deep):
        value = [value] * wide
    return value


OVERRIDES = {
    "deep": ([".".join(["x"] * 3000) + "=1"], "reaches more than 50 deep"),
    "long": (["name=" + "x" * 500_000], "name: "),
    "brackets": (["name=" + "[" * 500_000], "nested more than 50 deep"),
    "many": ([f"a{i}=1" for i in range(3000)], "and 2900 more"),
    "laughs": (["name=[&a [x,x,x,x,x,x,x], " + "*a," * 9999 + "]"], "more than 10000 values"),
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_hostile_overrides_are_refused_in_time(name):
    overrides, said = OVERRIDES[name]
    assert said in outcome(lambda: ENGINE.load(tiny(), *overrides))


@pytest.mark.parametrize(
    "data",
    [nested(1, 10, 40), nested(1, 1, 400), list(range(100_000)), {f"k{i}": i for i in range(100_000)}],
    ids=["laughs", "deep", "long", "wide"],
)
def test_plain_data_are_bounded_as_text_is(data):
    said = outcome(lambda: ENGINE.load({"a": data}))
    assert "more than 10000 values" in said or "nested more than 50 deep" in said


def test_a_folder_without_end_is_not_searched_to_its_end(tmp_path):
    for number in range(30):
        (tmp_path / f"{number:03d}").mkdir()
        for inner in range(400):
            (tmp_path / f"{number:03d}" / f"{inner}.txt").touch()
    sensor = {"kind": "mask_from_data", "folder": str(tmp_path)}
    assert outcome(lambda: ENGINE.load(tiny(measurement=sensor))) == ""
    registered = ENGINE.plugins.require("measurement", "mask_from_data")
    assert "random" in registered.component.options(folder=tmp_path).facts(), "nobody counted them all"


# Paths ------------------------------------------------------------------------------------------


@pytest.fixture
def lair(tmp_path):
    """A recipe folder and, beside it, a parent that lies elsewhere."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/base.yaml").write_text(BASE)
    return tmp_path


@pytest.mark.parametrize("name", ["../elsewhere/base.yaml", "{lair}/elsewhere/base.yaml", "link.yaml"])
def test_a_parent_outside_the_recipes_folder_is_said_to_be_read(lair, name):
    (lair / "mine/link.yaml").symlink_to(lair / "elsewhere/base.yaml")
    (lair / "mine/r.yaml").write_text(f"extends: {name.format(lair=lair)}\n")
    (warning,) = ENGINE.load(lair / "mine/r.yaml").warnings
    assert warning.warning and warning.path == "extends" and warning.place.line == 1
    assert f"reads {lair}/elsewhere/base.yaml, which lies outside the recipe's folder" in str(warning)


def test_a_parent_of_a_parent_is_told_too_and_one_that_is_within_or_shipped_is_not(lair, monkeypatch):
    (lair / "mine/deep").mkdir()
    (lair / "mine/deep/inner.yaml").write_text("extends: ../base.yaml\n")
    (lair / "mine/base.yaml").write_text("extends: ../elsewhere/base.yaml\n")
    (lair / "mine/r.yaml").write_text("extends: deep/inner.yaml\n")
    assert len(ENGINE.load(lair / "mine/r.yaml").warnings) == 1
    (lair / "mine/base.yaml").write_text("extends: quickstart\n")
    assert ENGINE.load(lair / "mine/r.yaml").warnings == ()
    monkeypatch.chdir(lair / "mine")
    assert len(ENGINE.load({"extends": "../elsewhere/base.yaml"}).warnings) == 1
    assert ENGINE.load({"extends": str(lair / "mine/base.yaml")}).warnings == ()


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../../../../etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "~/.ssh/id_rsa",
        "a.yaml\0",
        "/",
        "..",
    ],
)
def test_what_is_no_yaml_file_is_not_read(lair, name):
    said = outcome(lambda: ENGINE.load({"extends": name}))
    assert "extends: " in said and "root:" not in said


def test_a_pipe_is_not_waited_for(lair):
    os.mkfifo(lair / "mine/pipe.yaml")
    assert "there is no file" in outcome(lambda: ENGINE.load({"extends": str(lair / "mine/pipe.yaml")}))


def test_a_run_is_written_below_the_folder_that_was_given_whatever_its_name(lair):
    for name in ("..", "../x", "/tmp/x", "a/b", "a\\b/..", ".hidden", "x\n", "x\0", ""):
        assert "name" in outcome(lambda name=name: ENGINE.load(tiny(name=name))), repr(name)


# Fuzzing ----------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *[
            "a ",
            ": ",
            "\n",
            "  ",
            "- ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "&x ",
            "*x",
            "!!int ",
            "'",
            '"',
            "<<",
            "? ",
            "|",
            ">",
            "#",
            "%",
            "@",
            "\\",
            "0x",
            "1e5",
            "~",
            "---",
            "...",
            "\t",
            "\ufeff",
        ],
        *[
            "recipe: 1\n",
            "extends: ",
            "kind: ",
            "quickstart",
            "train: ",
            "data: {source: ",
            "measurement: ",
            ".nan",
            "-.inf",
        ],
    ]
)
TEXT = st.one_of(
    st.text(max_size=200),
    st.lists(st.one_of(PIECES, st.characters()), max_size=60).map("".join),
    st.tuples(st.integers(0, len(BASE)), PIECES, st.integers(0, 30)).map(
        lambda cut: BASE[: cut[0]] + cut[1] + BASE[cut[0] + cut[2] :]
    ),
)
KINDS = sorted({entry.name for entry in ENGINE.plugins.registry})
LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.sampled_from([2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30]),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1e-320, 1e308, float("nan"), float("inf")]),
    st.text(max_size=4),
    st.sampled_from(
        ["", "/", "..", "~", "/dev/zero", "/dev/stdin", "a\0b", "x" * 5000, "1e400", "\ud800", "#ffffff"]
    ),
    st.sampled_from(KINDS),
)
JUNK = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["kind", "size", "every", "x", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)


def paths(data: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in plain data."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [above, *(path for key, value in inner for path in paths(value, (*above, key)))]


def changed(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of plain data with another value at a place."""
    if not path:
        return value
    copy = dict(data) if isinstance(data, dict) else list(data)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


@st.composite
def mutated(draw: Any) -> Any:
    """A shipped recipe with one to four values replaced by junk, or by parts of itself."""
    data = SHIPPED[draw(st.sampled_from(sorted(SHIPPED)))]
    for _ in range(draw(st.integers(1, 4))):
        places = paths(data)
        place = places[draw(st.integers(min(1, len(places) - 1), len(places) - 1))]
        data = changed(data, place, draw(st.one_of(JUNK, st.just(data))))
    return data


PLACES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "dataset": lambda spec: {"data": {"source": spec, "image_size": [16, 16], "holdout": 0}},
    **{
        each: (lambda spec, each=each: {each: spec}) for each in ("measurement", "generator", "discriminator")
    },
    "objective": lambda spec: {"objective": spec},
    "fidelity": lambda spec: {"fidelity": [spec]},
    "metric": lambda spec: {"metrics": [spec]},
    "callback": lambda spec: {"callbacks": [spec]},
}
ENTRIES = {f"{entry.category} {entry.name}": entry for entry in ENGINE.plugins.registry}


@st.composite
def optioned(draw: Any) -> Any:
    """A small recipe with any component, some of whose options are junk."""
    entry = ENTRIES[draw(st.sampled_from(sorted(ENTRIES)))]
    names = sorted(entry.component.options.model_fields)
    options = draw(st.dictionaries(st.sampled_from(names), JUNK, max_size=4)) if names else {}
    return {**tiny(), **PLACES[entry.category]({**options, "kind": entry.name})}


def of_text(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "r.yaml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        check(lambda: ENGINE.load(file))


def of_data(data: Any) -> None:
    check(lambda: ENGINE.load(data if isinstance(data, dict) else {"recipe": data}))


def check(load: Callable[[], Any]) -> None:
    """No traceback, in time, and no built-in falls over its options; a plan survives being written down."""
    plans: list[Any] = []
    said = outcome(lambda: plans.append(load()))
    assert " failed: " not in said, said
    if plans:
        assert ENGINE.load(plans[0].resolved()).resolved() == plans[0].resolved()


PROPERTIES: dict[str, tuple[Callable[[Any], None], Any]] = {
    "texts": (of_text, TEXT),
    "changed recipes": (of_data, mutated()),
    "options of every component": (of_data, optioned()),
}


def fuzz(name: str, cases: int) -> int:
    """Try so many cases of a property; returns how many there were."""
    seen = []
    body, strategy = PROPERTIES[name]
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=slow)
    @given(strategy)
    def run(value: Any) -> None:
        seen.append(1)
        body(value)

    run()
    return len(seen)


@pytest.mark.parametrize("name", PROPERTIES)
def test_no_recipe_is_a_traceback_or_takes_long(name):
    before = peak()
    assert fuzz(name, CASES // len(PROPERTIES)) >= CASES // len(PROPERTIES)
    assert peak() - before < MEGABYTES


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", PROPERTIES)
def test_no_recipe_of_very_many_is_a_traceback_or_takes_long(name):
    cases = -(-int(os.environ.get("AMBIENTKIT_FUZZ_CASES", "10000")) // len(PROPERTIES))
    before = peak()
    assert fuzz(name, cases) >= cases
    assert peak() - before < MEGABYTES


def test_a_refusal_is_a_recipe_error():
    with pytest.raises(RecipeError):
        ENGINE.load({"recipe": nested(1, 10, 40)})
