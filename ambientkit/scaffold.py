"""A new plugin as a package that works at once, from the templates beside this file. Imports no torch.

`templates/common` goes into every package, and one folder besides for each category of component. In
the templates' texts stand `$name` and the like (`string.Template`); their files end in `.txt`, so
that no tool takes them for modules.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template

from ambientkit.errors import InputError
from ambientkit.names import CATEGORIES, did_you_mean
from ambientkit.plugin_sources import BRIDGES, GROUP

ROLES = {
    "dataset": "A data set",
    "measurement": "A sensor",
    "generator": "A generator",
    "discriminator": "A discriminator",
    "objective": "An adversarial game",
    "fidelity": "A fidelity term",
    "metric": "A metric",
    "callback": "An observer of runs",
}
"""What a package of each category is called in its README."""

LONGEST = 40
"""Characters of a plugin's name: the recipe of the package is called after it."""

_MODULES = ("plugins", "recipes")  # ambientkit_plugins and ambientkit_recipes are there already
_SUFFIX = ".txt"
_SUPPORT = ("__init__.py", "py.typed")


@dataclass(frozen=True)
class Package:
    """A package to be: its name in recipes (`fog`), and the category of its component."""

    name: str
    category: str

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.category not in CATEGORIES:
            hint = did_you_mean(self.category, CATEGORIES) or f"there are {', '.join(CATEGORIES)}"
            raise InputError(f"there is no kind {self.category!r}; {hint}")

    @property
    def kind(self) -> str:
        """The component's own name: recipes say `name/kind`."""
        return self.name.replace("-", "_")

    @property
    def module(self) -> str:
        """What Python imports."""
        return f"{GROUP}_{self.kind}"

    @property
    def distribution(self) -> str:
        """What pip installs, and the name of its folder."""
        return f"{GROUP}-{self.name}"

    def texts(self) -> dict[PurePosixPath, str]:
        """Every file of the package by its path inside it."""
        own = list(_templates(self.category))
        found = [*_templates("common"), *own]
        values = self._values([name for name, _ in own])
        return {self._place(name): Template(text).substitute(values) for name, text in found}

    def _values(self, names: list[str]) -> dict[str, str]:
        component = [name for name in names if name.endswith(".py") and not name.startswith(("_", "test_"))]
        return {
            "name": self.name,
            "kind": self.kind,
            "module": self.module,
            "category": self.category,
            "role": ROLES[self.category],
            "file": component[0].removesuffix(".py"),
        }

    def _place(self, name: str) -> PurePosixPath:
        if name == "conftest.py":
            return PurePosixPath("tests", name)
        if name == "test_component.py":
            return PurePosixPath("tests", f"test_{self.kind}.py")
        if name == "recipe.yaml":
            return PurePosixPath(f"{self.name}.yaml")
        if name.endswith(".py") or name in _SUPPORT:
            return PurePosixPath("src", self.module, name)
        return PurePosixPath(name)


def check_name(name: str) -> None:
    """Raise InputError unless `name` can be a distribution's, a module's and a namespace at once."""
    bare = re.sub(r"[-_.\s]+", "-", name.lower()).removeprefix(f"{GROUP}-").strip("-")
    if name != bare or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        better = f"; {bare!r} would do" if re.fullmatch(r"[a-z][a-z0-9-]*", bare) else ""
        raise InputError(
            f"{name!r} cannot name a plugin: use a-z, 0-9 and single hyphens between them, a letter "
            f"first, without '{GROUP}-' before it{better}"
        )
    if len(name) > LONGEST:
        raise InputError(f"{name!r} is too long for a plugin's name; use at most {LONGEST} characters")
    if name in {*BRIDGES, *CATEGORIES, *_MODULES}:
        raise InputError(f"{name!r} means something to {GROUP} already; choose another name")


def new_plugin(name: str, category: str = "measurement", out: Path | str = ".") -> Path:
    """Write the package `ambientkit-NAME` into the folder `out`, and return its path.

    It holds a small component that works, a recipe and tests. Raises InputError on a name or category
    that cannot be, and where there is such a folder already: nothing is ever overwritten.
    """
    package = Package(name, category)
    folder = Path(out, package.distribution)
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} exists already; name another plugin or another --out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed: there is a whole package, or none.
    aside = Path(tempfile.mkdtemp(prefix=f".{package.distribution}-", dir=folder.parent))
    try:
        _write(package, aside / folder.name)
        (aside / folder.name).rename(folder)
    finally:
        shutil.rmtree(aside)
    return folder


def _write(package: Package, folder: Path) -> None:
    for place, text in package.texts().items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _templates(folder: str) -> Iterator[tuple[str, str]]:
    """(name, text) of each template in a folder."""
    home: Traversable = files(__package__ or GROUP) / "templates" / folder
    for entry in sorted(home.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(_SUFFIX):
            yield entry.name.removesuffix(_SUFFIX), entry.read_text("utf-8")
