"""Load one plugin: import it, check its hooks, collect its components. Nothing is registered here.

Every plugin gets a pluggy manager of its own, so nothing of one that fails can stay behind.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from inspect import signature
from pathlib import Path
from typing import get_args

import pluggy
import pydantic
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core.core_schema import ErrorType

from ambientkit.descriptions import descriptions
from ambientkit.errors import FAILURES, PluginError
from ambientkit.hookspecs import HOOK_API, Lifecycle, Registration
from ambientkit.names import CATEGORIES, did_you_mean
from ambientkit.plugin_sources import Candidate
from ambientkit.recipe import FidelitySpec, MetricSpec
from ambientkit.registry import Component, Options, Registered, Spec

log = logging.getLogger("ambientkit")
CATEGORY_OF_HOOK = {
    "register_datasets": "dataset",
    "register_measurements": "measurement",
    "register_generators": "generator",
    "register_discriminators": "discriminator",
    "register_objectives": "objective",
    "register_fidelities": "fidelity",
    "register_metrics": "metric",
    "register_callbacks": "callback",
}
"""Each registration hook, and the category of what it yields."""

_FORM = (
    r"\w+_(type|parsing)|int_from_float|(greater|less)_than(_equal)?|multiple_of|finite_number"
    r"|literal_error|enum|string_pattern_mismatch|(string_)?too_(long|short)"
)
_OF_FORM = frozenset(kind for kind in get_args(ErrorType) if re.fullmatch(_FORM, kind))
"""Pydantic's errors of form and bounds: none of a plugin's validator, nor of a file that is not there."""
_RESERVED = {"fidelity": FidelitySpec.own_keys, "metric": MetricSpec.own_keys}


def load(candidate: Candidate) -> list[Registered]:
    """Import a plugin and return what it offers, checked. Raises whatever is wrong with it."""
    plugin = candidate.load()
    _check_hook_api(plugin)
    manager = pluggy.PluginManager("ambientkit")
    manager.add_hookspecs(Registration)
    register_checked(manager, plugin, candidate.name)
    return list(_collect(manager, plugin, candidate))


def register_checked(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    """Register a plugin or callback. Raises PluginError on a misspelt hook, or where there is none at all."""
    try:
        manager.register(plugin, name)
    except pluggy.PluginValidationError as error:
        raise PluginError(_wrong_arguments(manager, str(error))) from error
    callers = manager.get_hookcallers(plugin) or []
    known = [hook for hook, caller in vars(manager.hook).items() if caller.has_spec()]
    for caller in callers:
        if not caller.has_spec():
            raise PluginError(_unknown_hook(caller.name, known))
    if not callers:
        raise PluginError(_no_hook(plugin, known))
    for caller in callers:
        for hook in caller.get_hookimpls():
            if hook.plugin is plugin and caller.spec:
                _require_self(hook, caller.spec.argnames)


def _require_self(hook: pluggy.HookImpl, known: Sequence[str]) -> None:
    """A method that forgot `self` would find the callback itself where it looks for its first argument."""
    method = getattr(hook.function, "__func__", None)
    first = next(iter(signature(method).parameters), "") if method else ""
    if first in known:
        name = hook.function.__name__
        raise PluginError(f"the hook {name} takes {first!r} for the object itself; write {name}(self, ...)")


def _wrong_arguments(manager: pluggy.PluginManager, said: str) -> str:
    """Which arguments a hook has, where one was written with others."""
    found = re.search(r"for hook '(\w+)'", said)
    spec = vars(manager.hook)[found[1]].spec if found else None
    if found is None or spec is None:
        return " ".join(said.split())
    given = re.search(r"Argument\(s\) \{(.*?)\}", said)
    if not spec.argnames:
        return f"the hook {found[1]} has no arguments{f'; leave out {given[1]}' if given else ''}"
    wrong = f", and not {given[1]}" if given else ""
    return f"the hook {found[1]} has the arguments {', '.join(spec.argnames)}, or some of them{wrong}"


def describe_failure(error: BaseException) -> str:
    """One line: the exception, and the plugin's own line where it came from."""
    if isinstance(error, PluginError):
        return str(error)
    text = " ".join(str(error).split())[:300]
    place = _place(error)
    return f"{type(error).__name__}: {text}{f' ({place})' if place else ''}"


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    # The last line that is the plugin's: not the import machinery, not the libraries that called it.
    others = [Path(file).parent for file in (pluggy.__file__, pydantic.__file__, __file__)]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        machinery = frame.filename.startswith("<") or "importlib" in path.parts
        if not machinery and not any(path.is_relative_to(folder) for folder in others):
            return f"{frame.filename}:{frame.lineno}"
    return ""


def _check_hook_api(plugin: object) -> None:
    stated = getattr(plugin, "AMBIENTKIT_HOOK_API", None)
    if stated is None:
        raise PluginError(
            f"it does not state the hook API it was written for; add AMBIENTKIT_HOOK_API = {HOOK_API}"
        )
    if not isinstance(stated, int):
        raise PluginError(f"AMBIENTKIT_HOOK_API is {stated!r}, which is no whole number; write {HOOK_API}")
    if stated != HOOK_API:
        raise PluginError(
            f"it was written for hook API {stated}, this ambientkit has {HOOK_API}; install versions that fit"
        )


def _unknown_hook(name: str, known: Iterable[str]) -> str:
    if name in vars(Lifecycle) and name not in known:
        return f"{name} is a hook of callbacks; register a callback whose object has it"
    if name in vars(Registration) and name not in known:
        return f"{name} is a hook of plugins; callbacks have {', '.join(known)}"
    return f"there is no hook {name!r}; {did_you_mean(name, known) or 'there are ' + ', '.join(known)}"


def _no_hook(plugin: object, known: Sequence[str]) -> str:
    unmarked = [name for name in known if callable(getattr(plugin, name, None))]
    if unmarked:
        return f"it has no hook: mark {', '.join(unmarked)} with @hookimpl"
    return f"it has no hook; write one, such as {known[0]}, and mark it with @hookimpl"


def _collect(manager: pluggy.PluginManager, plugin: object, candidate: Candidate) -> Iterator[Registered]:
    for caller in manager.get_hookcallers(plugin) or []:
        category = CATEGORY_OF_HOOK[caller.name]
        for component in _named_failures(caller.name, _yielded(caller)):
            _check_component(component, category, caller.name)
            name = f"{candidate.namespace}/{component.kind}" if candidate.namespace else component.kind
            yield Registered(category, name, component, candidate.source)


def _named_failures(hook: str, components: Iterator[Component]) -> Iterator[Component]:
    """The components; what the hook raises on the way is told with its name."""
    try:
        yield from components
    except PluginError:
        raise
    except FAILURES as error:
        raise PluginError(f"{hook} failed: {describe_failure(error)}") from error


def _yielded(caller: pluggy.HookCaller) -> Iterator[Component]:
    results = caller()
    if not results:  # pluggy leaves out an implementation that returned None
        raise PluginError(f"{caller.name} returned None; yield Component records")
    for result in results:
        if isinstance(result, Component) or not isinstance(result, Iterable):
            raise PluginError(f"{caller.name} returned a {type(result).__name__}; yield Component records")
        yield from result


def _check_component(component: object, category: str, hook: str) -> None:
    if not isinstance(component, Component):
        raise PluginError(f"{hook} yielded a {type(component).__name__}; yield Component records")
    if not isinstance(component.kind, str) or not re.fullmatch(r"[a-z0-9_]+", component.kind):
        raise PluginError(f"{hook}: kind {component.kind!r} may hold a-z, 0-9 and _ only")
    place = f"{category} {component.kind!r}"
    if not callable(component.build):
        raise PluginError(
            f"{place}: build is a {type(component.build).__name__}; give a function (options, context)"
        )
    _check_options(component.options, place, _RESERVED.get(category, Spec.own_keys))


def _require_readable(options: type[Options], place: str) -> None:
    """Types that pydantic does not understand, and options that nothing describes, are told now.

    Those of the built-ins are tested, and wait until they are asked for.
    """
    if options.__module__.startswith("ambientkit_plugins."):
        return
    try:
        options.model_rebuild()
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        reason = str(error).strip().splitlines()[0]
        raise PluginError(f"{place}: the options {options.__name__} cannot be read: {reason}") from error
    for name in options.model_fields:
        if name not in descriptions(options):
            raise PluginError(f"{place}: option {name!r} is not described; write a docstring below the field")
    _require_fitting_defaults(options, place)


def _require_fitting_defaults(options: type[Options], place: str) -> None:
    """A default that its own type or bounds refuse is never read, until a run is to be resumed."""
    fields = {
        name: field.default
        for name, field in options.model_fields.items()
        if not field.is_required() and field.default_factory is None and field.alias is None
    }
    try:
        options.model_validate(fields)
    except pydantic.ValidationError as error:
        for found in error.errors(include_url=False):
            if found["type"] in _OF_FORM and found["loc"] and found["loc"][0] in fields:
                name = str(found["loc"][0])
                raise PluginError(
                    f"{place}: the default of option {name!r} is {fields[name]!r}, which it does not take "
                    f"itself ({found['msg']}); change the default, the type or the bounds"
                ) from error
    except FAILURES as error:  # a validator of the plugin's own: it is asked again when a recipe is read
        log.debug("%s: its validators refuse the defaults: %s", place, error)


def _check_options(options: object, place: str, reserved: frozenset[str]) -> None:
    if not isinstance(options, type) or not issubclass(options, Options) or options is Options:
        raise PluginError(f"{place}: options is {options!r}; give a subclass of ambientkit.Options")
    if not (options.__doc__ or "").strip() and sys.flags.optimize < 2:  # -OO drops all docstrings
        raise PluginError(f"{place}: {options.__name__} has no docstring; its first line is the summary")
    config = options.model_config
    if config.get("extra") != "forbid" or not config.get("frozen"):
        raise PluginError(f"{place}: {options.__name__} must keep extra='forbid' and frozen=True of Options")
    _require_readable(options, place)
    for name in options.model_fields:
        if name in reserved:
            raise PluginError(f"{place}: the recipe has a key {name!r} of its own there; rename the option")
    for name, category in options.nested.items():
        if name not in options.model_fields or category not in CATEGORIES:
            raise PluginError(f"{place}: nested[{name!r}] = {category!r} is no option with a known category")
