"""Components and their options: the records that plugins return, found by name.

Imports no torch, so that listings, validation and help stay fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

from ambientkit.descriptions import Described
from ambientkit.errors import PluginError
from ambientkit.names import CATEGORIES

if TYPE_CHECKING:
    from ambientkit.interfaces import Context

Verdict: TypeAlias = Literal["identified", "lower-order marginals only", "not identified", "unknown"]


class Spec(Described):
    """A component by its `kind`, with its options beside it (checked against the component)."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="allow")
    own_keys: ClassVar[frozenset[str]] = frozenset({"kind"})

    kind: str
    """Name of the component: bare for a built-in, `namespace/kind` for a plugin's."""


@dataclass(frozen=True)
class Complaint:
    """Why options cannot work in a context. `field` is the option at fault, "" for all of them."""

    field: str
    message: str
    remedy: str = ""
    warning: bool = False


KNOWN_FACTS: Mapping[str, frozenset[str]] = {
    "dataset": frozenset({"clean", "measured", "observed"}),
    "measurement": frozenset(
        {"exact", "observed", "flip", "random", "pixelwise", "reshapes", "no_gradient", "needs_data_masks"}
    ),
    "generator": frozenset({"completes", "latent", "batch_norm", "ignores_masks"}),
    "discriminator": frozenset({"batch_norm", "features"}),
    "objective": frozenset({"gradient_penalty", "clips_weights"}),
    "fidelity": frozenset(
        {
            "needs_observed",
            "needs_further",
            "needs_exact",
            "needs_completion",
            "needs_latent",
            "needs_features",
            "vanishes_composited",
        }
    ),
    "metric": frozenset({"truth", "clean", "observed", "remeasured", "fills"}),
    "callback": frozenset(),
}
"""The words that `facts` of a category may hold; see `Options.facts`."""


class Options(Described):
    """Base of every component's options: frozen, no unknown keys, every field described.

    The docstring's first line is the component's summary in listings. `nested` names the options that
    are lists of other components (`tuple[Spec, ...]`), with their category; `build` finds them in
    `Context.nested`, ready to be built.
    """

    nested: ClassVar[Mapping[str, str]] = {}
    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        defer_build=True,  # until options are read: of all components that are found a recipe names few
    )

    def facts(self) -> frozenset[str] | None:
        """What others may rely on, said without importing torch; None: build it and look.

        Known facts, which the engine's checks go by:

        - of a data set: `clean` or `measured` (it arrives measured), `observed` (with masks);
        - of a sensor: `exact`, `observed` (it says which pixels it saw), `flip` (mirroring keeps
          its law), `random`, `pixelwise`, `reshapes` (y has not the picture's height and width),
          `no_gradient`, `needs_data_masks` (it draws from the masks of data that arrive measured);
        - of a generator: `completes`, `latent`, `batch_norm`, `ignores_masks` (what it makes does not
          depend on which pixels are said to be hidden); of a discriminator: `batch_norm`,
          `features` (it offers its inner maps);
        - of an objective: `gradient_penalty`, `clips_weights`;
        - of a fidelity, what it needs: `needs_observed`, `needs_further`, `needs_exact`,
          `needs_completion`, `needs_latent`, `needs_features`; and `vanishes_composited`
          (it is always 0 where pixels are kept);
        - of a metric, what it needs: `truth` (the clean version of each picture), `clean` (clean
          pictures, as a set), `observed`, `remeasured` (completions measured anew), `fills`
          (several of each picture).

        Others find them in `Context.facts` with the category before them (`measurement:exact`).
        """
        return None

    def joint_facts(self, nested: Mapping[str, Sequence[frozenset[str] | None]]) -> frozenset[str] | None:
        """`facts()` of a component that has others, given theirs by option."""
        return self.facts()

    def complaints(self, context: Context) -> Iterable[Complaint]:
        """What cannot work with these options in `context`; checked before anything is built."""
        return ()

    def identifiability(self, context: Context) -> tuple[Verdict, str] | None:
        """Of a sensor: whether its measurements determine the law of the pictures, and why.

        `context.image_shape` is known. None: nothing is proven of these options; `ambientkit inspect`
        then goes by draws of the masks.
        """
        return None


@dataclass(frozen=True)
class Component:
    """What a plugin offers: a name, its options, and how to build it.

    `build(options, context)` returns an object of the contract in `ambientkit.interfaces`. Torch
    is imported inside it, never where the plugin is imported.
    """

    kind: str
    options: type[Options]
    build: Callable[[Any, Context], Any]

    @property
    def summary(self) -> str:
        """First line of the options' docstring."""
        return (self.options.__doc__ or "").strip().partition("\n")[0]


@dataclass(frozen=True)
class Registered:
    """A component with the name that recipes use and where it came from."""

    category: str
    name: str
    component: Component
    source: str


@dataclass
class Registry:
    """All usable components by (category, name). A name has one meaning, whoever came first."""

    _entries: dict[tuple[str, str], Registered] = field(default_factory=dict)

    def add(self, entries: Iterable[Registered]) -> None:
        """Add all entries or none. Raises PluginError on a name that is taken, naming both sources."""
        fresh: dict[tuple[str, str], Registered] = {}
        for entry in entries:
            key = (entry.category, entry.name)
            if key in fresh and fresh[key].source == entry.source:
                raise PluginError(
                    f"{entry.category} {entry.name!r} is offered twice by {entry.source}; rename one of them"
                )
            taken = fresh.get(key) or self._entries.get(key)
            if taken:
                raise PluginError(
                    f"{entry.category} {entry.name!r} is offered by {taken.source} and by {entry.source}; "
                    "rename one of them or uninstall its package"
                )
            fresh[key] = entry
        self._entries.update(fresh)

    def find(self, category: str, name: str) -> Registered | None:
        """The component of that name, or None."""
        return self._entries.get((category, name))

    def names(self, category: str) -> list[str]:
        """Names in a category, sorted, built-ins first."""
        names = (name for kind, name in self._entries if kind == category)
        return sorted(names, key=lambda name: ("/" in name, name))

    def __iter__(self) -> Iterator[Registered]:
        order: Mapping[str, int] = {category: i for i, category in enumerate(CATEGORIES)}
        yield from sorted(self._entries.values(), key=lambda e: (order[e.category], "/" in e.name, e.name))
