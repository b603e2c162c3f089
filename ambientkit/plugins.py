"""Find plugins, load them one at a time, and say what went wrong.

A plugin that cannot be loaded breaks only the recipes that name it: its failure is kept as data.
Imports no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pluggy

from ambientkit.containment import observer
from ambientkit.errors import FAILURES, InputError, PluginError
from ambientkit.hookspecs import Lifecycle
from ambientkit.names import CATEGORIES, did_you_mean
from ambientkit.plugin_loading import describe_failure, load, register_checked
from ambientkit.plugin_sources import Candidate, code_of, from_files, from_object, installed, strangers
from ambientkit.registry import Registered, Registry

log = logging.getLogger("ambientkit")
Discovery = bool | Literal["listed"]
SHOWN = 12  # names in a message


@dataclass(frozen=True)
class PluginReport:
    """What became of one plugin.

    `namespace` is "" for a built-in; `components` are `category/name`, sorted; `error` is one line,
    None where all went well.
    """

    name: str
    namespace: str
    version: str
    source: str
    components: tuple[str, ...] = ()
    error: str | None = None


@dataclass
class Plugins:
    """The plugins of one engine: what they offer, and which of them failed."""

    registry: Registry = field(default_factory=Registry)
    reports: tuple[PluginReport, ...] = ()
    waiting: tuple[Candidate, ...] = ()

    @classmethod
    def discover(
        cls, plugins: Iterable[object] = (), files: Iterable[Path | str] = (), discover: Discovery = True
    ) -> Plugins:
        """Load the built-ins, what is installed, `plugins` (modules or objects) and `files` (`--plugin`).

        With `discover=False` nothing installed is loaded but the built-ins; with "listed" all else waits
        until `admit` names it. Raises PluginError where one of `plugins` or `files` fails, for the user
        asked for it; others only leave a report.
        """
        if discover not in (True, False, "listed"):
            raise InputError(f"discover is {discover!r}; give True, False or 'listed'")
        found = cls(waiting=tuple(strangers()) if discover == "listed" else ())
        for candidate in [*installed(discover is True), *map(from_object, plugins), *from_files(files)]:
            found._load(candidate)
        return found

    def admit(self, namespaces: Iterable[str], because: str) -> None:
        """Load what waits and has one of these namespaces, after the log has named it."""
        wanted = set(namespaces)
        chosen = [candidate for candidate in self.waiting if candidate.namespace in wanted]
        self.waiting = tuple(candidate for candidate in self.waiting if candidate not in chosen)
        for candidate in chosen:
            log.warning("%s: loading the plugin %s", because, candidate.source)
            self._load(candidate)

    @property
    def failures(self) -> tuple[PluginReport, ...]:
        """The reports of plugins that could not be loaded."""
        return tuple(report for report in self.reports if report.error)

    def require(self, category: str, name: str) -> Registered:
        """The component of that name. Raises PluginError with `explain_missing` where there is none."""
        found = self.registry.find(category, name)
        if found is None:
            raise PluginError(f"unknown {category} {name!r}; {self.explain_missing(category, name)}")
        return found

    def explain_missing(self, category: str, name: str) -> str:
        """Why there is no such component, or what to write instead: one line, to follow `unknown ...;`."""
        if category not in CATEGORIES:
            return (
                f"there is no category {category!r}; {_nearest(category, CATEGORIES) or _listed(CATEGORIES)}"
            )
        elsewhere = [entry.category for entry in self.registry if entry.name == name]
        if elsewhere:
            return f"{name!r} is a {' and a '.join(elsewhere)}, not a {category}"
        namespace = name.partition("/")[0] if "/" in name else ""
        if namespace not in {report.namespace for report in self.reports}:
            return self._unknown_namespace(category, name, namespace)
        names = self.registry.names(category)
        near = _nearest(name, names)
        # A misspelt built-in is the likelier fault than a broken one; of one namespace, say both.
        broken = [] if near and not namespace else self._failures_of(namespace)
        return "; ".join([near or _listed(names), *broken])

    def used(self, entries: Iterable[Registered]) -> list[dict[str, str]]:
        """Provenance for `run.json`: the plugins that offer `entries`, with their version and source.

        Of installed packages a digest of their `code` too.
        """
        wanted = {f"{entry.category}/{entry.name}" for entry in entries}
        return [
            {
                "name": report.name,
                "namespace": report.namespace,
                "version": report.version,
                "source": report.source,
                **self._code(report),
            }
            for report in self.reports
            if wanted.intersection(report.components)
        ]

    def _code(self, report: PluginReport) -> dict[str, str]:
        """Nothing of a single file, whose version tells, of an object, and of ambientkit's own."""
        if report.source.startswith(("file ", "object ", "built-in ")):
            return {}
        offered = (self.registry.find(*name.split("/", 1)) for name in report.components)
        code = code_of(entry.component.options.__module__ for entry in offered if entry)
        return {"code": code} if code else {}

    def _failures_of(self, namespace: str) -> list[str]:
        failed = [report for report in self.failures if report.namespace == namespace]
        if failed and not namespace:
            names = ", ".join(report.name for report in failed)
            return [f"built-in plugins failed: {names} (`ambientkit plugins` says why)"]
        return [f"plugin {report.name!r}, {report.source}, failed: {report.error}" for report in failed]

    def _load(self, candidate: Candidate) -> None:
        components, failure = self._components(candidate)
        if failure and candidate.asked:
            raise PluginError(f"{candidate.source}: {failure}")
        about = (candidate.name, candidate.namespace, candidate.version, candidate.source)
        self.reports += (PluginReport(*about, components, failure),)

    def _components(self, candidate: Candidate) -> tuple[tuple[str, ...], str | None]:
        try:
            entries = load(candidate)
            self.registry.add(entries)
        except FAILURES as error:
            return (), describe_failure(error)
        return tuple(sorted(f"{entry.category}/{entry.name}" for entry in entries)), None

    def _unknown_namespace(self, category: str, name: str, namespace: str) -> str:
        known = {report.namespace for report in self.reports if report.namespace}
        near = _nearest(name, self.registry.names(category)) or did_you_mean(namespace, known)
        if namespace in {candidate.namespace for candidate in self.waiting}:
            return f"ambientkit-{namespace} is installed, but run.json does not list it; is the run whole?"
        install = f"install ambientkit-{namespace} or pass --plugin {namespace}.py"
        return (
            f"no installed plugin has the namespace {namespace!r}; {near + ' or ' if near else ''}{install}"
        )


@dataclass(frozen=True)
class Named:
    """A callback, and what messages call it: the recipe's name for it, and where it came from."""

    callback: object
    name: str


def lifecycle(callbacks: Sequence[object]) -> pluggy.PluginManager:
    """A manager whose hooks call `callbacks` (which may be `Named`) in the order given.

    What one of them raises in a hook is a RunError that names it and the hook; the watchdog names one
    that does not come back. Raises PluginError on a callback with a misspelt hook, without any hook, or
    listed twice.
    """
    manager = pluggy.PluginManager("ambientkit")
    manager.add_hookspecs(Lifecycle)
    # pluggy calls the last registered first.
    for place, given in reversed(list(enumerate(callbacks))):
        named = given if isinstance(given, Named) else Named(given, type(given).__name__)
        callback, name = named.callback, named.name
        if isinstance(callback, type):
            raise PluginError(f"callback {callback.__name__} is a class; give {callback.__name__}()")
        if manager.is_registered(callback):
            raise PluginError(f"callback {name} is listed twice with the same options; remove one")
        try:
            register_checked(manager, callback, f"{place} {name}")
        except PluginError as error:
            raise PluginError(f"callback {name}: {error}") from error
        _watch(manager, callback, name)
    return manager


def _watch(manager: pluggy.PluginManager, callback: object, name: str) -> None:
    for caller in manager.get_hookcallers(callback) or []:
        for hook in caller.get_hookimpls():
            if hook.plugin is callback:
                watched = observer(name, caller.name, hook.function)
                hook.function = watched  # type: ignore[misc]  # pluggy has read its arguments already


def _nearest(name: str, names: Iterable[str]) -> str:
    """Did-you-mean that also sees a namespace that is missing or too many."""
    known = list(names)
    tail = name.rpartition("/")[2]
    same = [repr(other) for other in known if other.rpartition("/")[2] == tail]
    return f"did you mean {' or '.join(same)}?" if same else did_you_mean(name, known)


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - SHOWN} more, which `ambientkit plugins` lists" if len(known) > SHOWN else ""
    return "there are " + (", ".join(known[:SHOWN]) or "none") + more
