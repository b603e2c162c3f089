"""Options are described by the docstrings below them, read only when somebody asks."""

from __future__ import annotations

import linecache
from typing import Any

import pytest
from pydantic import Field

from ambientkit import Options
from ambientkit.descriptions import descriptions


class Parent(Options):
    """A parent."""

    size: int = 1
    """Side of the square,
    in pixels."""
    fill: float = 0.0
    """What hidden pixels hold."""


class Child(Parent):
    """It says one thing anew."""

    fill: float = 1.0
    """A brighter value."""
    bare: int = 2
    said: int = Field(default=3, description="Said to pydantic.")
    """Not this."""


def test_a_docstring_below_a_field_describes_it_with_its_parents_descriptions() -> None:
    """As pydantic's own way does; what is said to pydantic goes before."""
    assert descriptions(Child) == {
        "size": "Side of the square,\nin pixels.",
        "fill": "A brighter value.",
        "said": "Said to pydantic.",
    }


def test_the_schema_says_the_same() -> None:
    """Editors and listings go by it."""
    properties = Child.model_json_schema()["properties"]
    assert {name: held.get("description") for name, held in properties.items()} == {
        "bare": None,
        **descriptions(Child),
    }


def test_of_classes_with_one_name_each_has_its_own() -> None:
    """Where they stand in the file tells them apart."""

    def first() -> type[Options]:
        class Same(Options):
            """The first."""

            each: int = 0
            """Of the first."""

        return Same

    def second() -> type[Options]:
        class Same(Options):
            """The second."""

            each: int = 0
            """Of the second."""

        return Same

    assert descriptions(first())["each"] == "Of the first."
    assert descriptions(second())["each"] == "Of the second."


CELL = '''
from ambientkit import Options

class Typed(Options):
    """Typed into a notebook."""

    p: float = 0.5
    """Share of pixels that are lost."""
'''


@pytest.mark.parametrize(("kept", "expected"), [(True, {"p": "Share of pixels that are lost."}), (False, {})])
def test_a_cell_of_a_notebook_is_read_as_the_notebook_keeps_it(kept: bool, expected: dict[str, str]) -> None:
    """A notebook keeps each cell's source under a name of its own; where nobody did, nothing is described."""
    cell = f"<ipython-input-{kept}>"
    if kept:
        linecache.cache[cell] = (len(CELL), None, CELL.splitlines(keepends=True), cell)
    module: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(CELL, cell, "exec"), module)
    assert descriptions(module["Typed"]) == expected
