"""Where plugins come from: entry points, single files, objects. `load` imports them, nothing before it."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from itertools import accumulate
from pathlib import Path
from types import ModuleType

from ambientkit.errors import PluginError

GROUP = "ambientkit"
"""The entry-point group, and the distribution whose entry points are the built-ins."""

BRIDGES = frozenset({"deepinv"})
"""Built-in entry points that offer another library's components: their name is their namespace."""


@dataclass(frozen=True)
class Candidate:
    """A plugin that is there but not yet imported.

    `namespace` is "" for a built-in. `asked` is True where the user named this very plugin, so
    that its failure is an error and not a line in a list.
    """

    name: str
    namespace: str
    version: str
    source: str
    load: Callable[[], object]
    asked: bool = False


def installed(discover: bool) -> Iterator[Candidate]:
    """Candidates of installed distributions: the built-ins, then (if `discover`) all others by name.

    A distribution that stands twice on `sys.path` counts once: the first one, which Python imports.
    """
    found = {(_distribution(point), point.name, point.value): point for point in entry_points(group=GROUP)}
    points = [point for point in found.values() if discover or _distribution(point) == GROUP]
    if not any(_distribution(point) == GROUP for point in points):
        yield Candidate(GROUP, "", "", "built-in", _no_built_ins)
    yield from map(_from_entry_point, sorted(points, key=_order))


def strangers() -> list[Candidate]:
    """What is installed and is none of the built-ins; nothing of it is imported yet."""
    built_in = {candidate.source for candidate in installed(discover=False)}
    return [candidate for candidate in installed(discover=True) if candidate.source not in built_in]


def from_object(plugin: object) -> Candidate:
    """A module or object given by API; namespace: its own `namespace`, else the last part of its name."""
    own = getattr(plugin, "__name__", type(plugin).__name__)
    namespace = str(getattr(plugin, "namespace", own.rpartition(".")[2]))
    _check_namespace(namespace, f"plugin {own!r}", "give it another attribute `namespace`")
    version = str(getattr(plugin, "__version__", ""))
    return Candidate(own, namespace, version, f"object {own}", lambda: plugin, asked=True)


def from_files(files: Iterable[Path | str]) -> list[Candidate]:
    """One candidate a file, however often it is named. Raises PluginError on what is no plugin file."""
    return [_from_file(path) for path in dict.fromkeys(Path(file).resolve() for file in files)]


def _from_file(path: Path) -> Candidate:
    if path.suffix != ".py" or not path.is_file():
        wrong = "is no Python file" if path.is_file() else "there is no such file"
        raise PluginError(f"--plugin {path}: {wrong}; give the path of a .py file")
    if path.name == "__init__.py":
        raise PluginError(
            f"--plugin {path}: is part of a package, which `pip install -e` of its folder installs; "
            "give the path of a file that stands alone"
        )
    _check_namespace(path.stem, f"--plugin {path}", "rename the file")
    # A single file has no version: its content is what a resumed run is compared with.
    version = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    return Candidate(path.stem, path.stem, version, f"file {path}", lambda: _import_file(path), asked=True)


def _import_file(path: Path) -> ModuleType:
    # The path's digest keeps two files of one name apart.
    name = f"ambientkit_file_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic and dataclasses look their classes' module up here
    # `inspect` remembers one module a file. Where somebody imported the file before, under another name,
    # pydantic would look for the docstrings of options there, and find none.
    inspect.modulesbyfile[str(path)] = name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _no_built_ins() -> object:
    raise PluginError("the distribution 'ambientkit' is not installed: run `pip install -e .` in its folder")


def _from_entry_point(point: EntryPoint) -> Candidate:
    distribution, version = _package(point.dist)
    if distribution == GROUP:
        namespace = point.name if point.name in BRIDGES else ""
        return Candidate(point.name, namespace, version, f"built-in (entry point {point.name})", point.load)
    source = f"{distribution} {version} (entry point {point.name})"
    return Candidate(point.name, distribution.removeprefix(f"{GROUP}-"), version, source, point.load)


def _distribution(point: EntryPoint) -> str:
    return _package(point.dist)[0]


@cache  # each look at a distribution's name or version parses its metadata anew
def _package(distribution: Distribution | None) -> tuple[str, str]:
    """Name, normalised as package indexes do, and version."""
    if distribution is None:
        return "", ""
    return re.sub(r"[-_.]+", "-", distribution.name).lower(), distribution.version


def code_of(modules: Iterable[str]) -> str:
    """A digest of the Python files of the packages that these modules belong to, "" where there are none.

    A package that is edited where it lies keeps its version; this tells.
    """
    own = (GROUP, f"{GROUP}_plugins")
    packages = {_package_of(name) for name in modules if name.partition(".")[0] not in own}
    found = sorted(each for package in packages for each in _files_of(package))
    told = "".join(_line(name, file) for name, file in found).encode("utf-8", "surrogateescape")
    return f"sha256:{hashlib.sha256(told).hexdigest()[:12]}" if told else ""


def _line(name: str, file: Path) -> str:
    """The file's name and a digest of it, "" where it is none or cannot be read, as amid an edit."""
    try:
        return f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" if file.is_file() else ""
    except OSError:
        return ""


def _package_of(module: str) -> str:
    """The first on the dotted path that has a file: a namespace package, which many share, has none."""
    names = list(accumulate(module.split("."), "{}.{}".format))
    return next((name for name in names if _file_of(name)), module)


def _file_of(module: str) -> str:
    return str(getattr(sys.modules.get(module), "__file__", None) or "")


def _files_of(package: str) -> Iterator[tuple[str, Path]]:
    """The Python files of a package, or of a module that stands alone, with their names inside it."""
    file = Path(_file_of(package))
    if file.name == "__init__.py":
        yield from (
            (f"{package}/{each.relative_to(file.parent).as_posix()}", each)
            for each in _python_files(file.parent)
        )
    elif file.suffix == ".py":
        yield file.name, file


def _python_files(package: Path) -> Iterator[Path]:
    """All below `package`, but for what editors and other tools keep there under names with a dot."""
    for folder, below, names in os.walk(package):  # which passes over folders that are gone
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if name.endswith(".py") and not name.startswith("."))


def _order(point: EntryPoint) -> tuple[bool, str, str]:
    distribution = _distribution(point)
    return distribution != GROUP, distribution, point.name


def _check_namespace(namespace: str, place: str, remedy: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", namespace):
        raise PluginError(
            f"{place}: {namespace!r} cannot be a namespace (letters, digits, _ and -); {remedy}"
        )
