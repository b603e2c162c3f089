"""Several sensors, one after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ambientkit import Component, Context, Options, Spec, hookimpl

if TYPE_CHECKING:
    from .sensor import Chain

AMBIENTKIT_HOOK_API = 1

EVERY = frozenset({"exact", "pixelwise", "flip"})
ANY = frozenset({"random", "reshapes", "no_gradient", "needs_data_masks"})


class SequenceOptions(Options):
    """Several sensors one after another: blur, then noise, then a hidden block.

    The order matters: noise before a block leaves the block's fill as it is, noise after it covers the
    fill too. Exact only if every sensor is. What is observed is what all of them observe, as long as
    each of the others works pixel by pixel (noise does, a blur does not).
    """

    nested: ClassVar[Mapping[str, str]] = {"sensors": "measurement"}

    sensors: tuple[Spec, ...] = Field(min_length=1)
    """The sensors, in the order in which they act on a picture."""

    def joint_facts(self, nested: Mapping[str, Sequence[frozenset[str] | None]]) -> frozenset[str] | None:
        """What every sensor declares, or any of them, as the fact is."""
        declared = nested["sensors"]
        known = [facts for facts in declared if facts is not None]
        if len(known) < len(declared):
            return None
        found = EVERY.intersection(*known) | (ANY & frozenset().union(*known))
        sees = ["observed" in facts for facts in known]
        kept = all("observed" in facts or "pixelwise" in facts for facts in known)
        return found | ({"observed"} if any(sees) and kept else frozenset())


@hookimpl
def register_measurements() -> Iterable[Component]:
    """Sensors in sequence."""
    yield Component("sequence", SequenceOptions, _sequence)


def _sequence(_options: SequenceOptions, context: Context) -> Chain:
    from .sensor import Chain

    parts = []
    for build in context.nested["sensors"]:
        parts.append(build(context))
        if context.image_shape is not None:  # the next one is given what this one makes
            context = replace(context, image_shape=tuple(parts[-1].measured_shape(context.image_shape)))
    return Chain(parts)
