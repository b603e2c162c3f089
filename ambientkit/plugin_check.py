"""The contract kit on everything that a plugin offers. Imports torch only when something is checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ambientkit.engine import Engine
from ambientkit.errors import PluginError
from ambientkit.names import did_you_mean
from ambientkit.plugin_sources import GROUP
from ambientkit.plugins import PluginReport, Plugins
from ambientkit.recipe import Choice
from ambientkit.recipe_check import choose
from ambientkit.registry import Registered

if TYPE_CHECKING:
    from ambientkit.testing import Finding

WITH_DEFAULTS = "defaults"
LARGEST = 64
"""Bounds beyond it are no corners here: the widest network that may be built takes a machine too long."""


@dataclass(frozen=True)
class CheckedComponent:
    """What the kit found of one component (`category/name`) with some options (a label for them)."""

    component: str
    options: str
    findings: tuple[Finding, ...]

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The promises that it breaks."""
        return tuple(finding for finding in self.findings if finding.outcome == "failed")


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin that could be loaded, by each of its entry points, and all plugins of its engine."""

    reports: tuple[PluginReport, ...]
    plugins: Plugins

    @property
    def entries(self) -> list[Registered]:
        """The components that it offers."""
        names = {name for report in self.reports for name in report.components}
        return [entry for entry in self.plugins.registry if f"{entry.category}/{entry.name}" in names]

    def check(
        self, options: Mapping[str, Any] | None = None, *, corners: bool = False
    ) -> Iterator[CheckedComponent]:
        """Hold each component to its contract, with its defaults or those of `options` that it has.

        `corners`: besides, with every bound and choice of every option, one at a time. Its code is run.
        Raises PluginError for an option that no component has, RecipeError for values that do not fit;
        both before anything is checked.
        """
        given = dict(options or {})
        if not self.entries:
            raise PluginError(f"plugin {self.reports[0].name!r} offers no component that could be checked")
        self._refuse_unknown(given)
        for choice in [self._chosen(entry, given) for entry in self.entries]:
            for label, variant in _variants(choice, self._of(choice.registered, given), corners):
                name = f"{choice.registered.category}/{choice.registered.name}"
                # Options at a bound may be too much for small pictures; those that were chosen may not.
                found = _findings(variant, self.plugins, required=variant is choice)
                yield CheckedComponent(name, label, tuple(found))

    def _chosen(self, entry: Registered, given: Mapping[str, Any]) -> Choice:
        return choose(entry, self._of(entry, given), self.plugins)

    def _of(self, entry: Registered, given: Mapping[str, Any]) -> dict[str, Any]:
        fields = entry.component.options.model_fields
        return {name: value for name, value in given.items() if name in fields}

    def _refuse_unknown(self, given: Iterable[str]) -> None:
        known = {name for entry in self.entries for name in entry.component.options.model_fields}
        for name in given:
            if name not in known:
                hint = did_you_mean(name, known) or f"there are {', '.join(sorted(known)) or 'none'}"
                raise PluginError(f"no component of {self.reports[0].name!r} has an option {name!r}; {hint}")


def load_plugin(target: str) -> LoadedPlugin:
    """An installed plugin by its namespace or distribution, or a `.py` file; its code is executed.

    Raises PluginError where there is no such plugin, or it cannot be loaded, with the reason.
    """
    path = Path(target)
    if path.suffix == ".py":
        plugins = Engine(files=[path], discover=False).plugins
        return LoadedPlugin(plugins.reports[-1:], plugins)  # files are loaded last
    if path.is_dir() and not _is_name(target):
        raise PluginError(f"{target} is a folder; install it (pip install {target}), then give its name")
    plugins = Engine().plugins
    return LoadedPlugin(_installed(target, plugins), plugins)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_name(target: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_.-]*[A-Za-z0-9]", target) is not None


def _installed(target: str, plugins: Plugins) -> tuple[PluginReport, ...]:
    """All of its entry points. Raises PluginError where one failed, or where there is none."""
    name = _plain(target).removeprefix(f"{GROUP}-")
    called = tuple(each for each in plugins.reports if name in {each.namespace, _plain(each.name)})
    for report in called:
        if report.error:
            raise PluginError(f"plugin {report.name!r}, {report.source}, failed: {report.error}")
    if called:
        return called
    known = {report.namespace or report.name for report in plugins.reports}
    hint = did_you_mean(name, known)
    raise PluginError(
        f"no installed plugin is called {target!r}; {hint + ' or ' if hint else ''}install {GROUP}-{name}, "
        "or give the path of a .py file"
    )


def _variants(choice: Choice, given: Mapping[str, Any], corners: bool) -> Iterator[tuple[str, Choice]]:
    from ambientkit.testing import option_corners

    yield ", ".join(f"{name}={value}" for name, value in given.items()) or WITH_DEFAULTS, choice
    if not corners or choice.nested:
        return
    for label, options in option_corners(choice.registered.component.options, given, largest=LARGEST).items():
        if options != choice.options:
            yield label, Choice(choice.spec, choice.registered, options)


def _findings(choice: Choice, plugins: Plugins, required: bool) -> list[Finding]:
    from ambientkit.testing import ContractError, Finding, check_component

    try:
        return check_component(choice, plugins=plugins)
    except ContractError as broken:
        return list(broken.findings)
    except PluginError as error:  # it complains of every context that is tried
        return [Finding("some_context_fits", "failed" if required else "skipped", str(error))]
