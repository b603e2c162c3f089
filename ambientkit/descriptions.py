"""What each option is for: the docstring below a field, read when somebody asks.

pydantic offers the same (`use_attribute_docstrings`), but reads the source of every class as it is
imported, and of all that are imported a command asks for few. Imports no torch.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Described(BaseModel):
    """A model whose fields may be described by docstrings below them; its JSON schema says them."""

    written_at: ClassVar[tuple[str, int]] = (__file__, 0)

    def __init_subclass__(cls, **options: Any) -> None:
        """Remember where the class is written: of a notebook's cell, nothing else would say it later."""
        super().__init_subclass__(**options)
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__") != cls.__module__:
            frame = frame.f_back
        cls.written_at = (frame.f_code.co_filename, frame.f_lineno)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        """As pydantic makes it, with the descriptions."""
        made = handler(core_schema)
        properties = handler.resolve_ref_schema(made).get("properties", {})
        said = descriptions(cls)
        for name in properties.keys() & said.keys():
            properties[name].setdefault("description", said[name])
        return made


@cache
def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """By field: `Field(description=...)`, else the docstring below it, of the nearest class that has one."""
    below = {
        name: text
        for base in reversed(model.__mro__)
        if issubclass(base, Described)
        for name, text in _below(base)
    }
    given = {name: field.description or below.get(name, "") for name, field in model.model_fields.items()}
    return {name: text for name, text in given.items() if text.strip()}


def _below(model: type[Described]) -> Iterator[tuple[str, str]]:
    """Each field with the text that stands below it in this very class; none where its source is gone."""
    file, line = model.written_at
    written = [each for each in _classes(file) if each.name == model.__name__]
    body = min(written, key=lambda each: abs(each.lineno - line)).body if written else []
    for field, text in pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, inspect.cleandoc(said)


@cache
def _classes(file: str) -> tuple[ast.ClassDef, ...]:
    """All classes of a file, or of a notebook's cell."""
    tree = ast.parse("".join(linecache.getlines(file)))
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
