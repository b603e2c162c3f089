"""Components by name: one name, one meaning; listings in a fixed order; nearest words."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from pydantic import ValidationError

from ambientkit import Component, Options
from ambientkit.errors import PluginError
from ambientkit.interfaces import Context
from ambientkit.names import CATEGORIES, did_you_mean
from ambientkit.registry import Complaint, Registered, Registry, Spec

pytestmark = pytest.mark.smoke


class Veil(Options):
    """A grey veil.

    More about it.
    """

    strength: float = 0.5
    """How grey."""


def entry(name: str, category: str = "measurement", source: str = "somebody") -> Registered:
    component = Component(name.rpartition("/")[2], Veil, lambda options, context: options)
    return Registered(category, name, component, source)


def test_what_was_added_is_found_by_category_and_name():
    registry = Registry()
    haze = entry("fog/haze")
    registry.add([haze, entry("fog/haze", "metric")])
    assert registry.find("measurement", "fog/haze") is haze
    assert registry.find("generator", "fog/haze") is None
    assert registry.find("measurement", "haze") is None


@pytest.mark.parametrize("both", [True, False])
def test_a_clash_names_both_sources_and_adds_nothing(both):
    registry = Registry()
    one, two = entry("haze", source="here"), entry("haze", source="there")
    if not both:
        registry.add([one])
    with pytest.raises(PluginError, match="here and by there"):
        registry.add([entry("fresh"), one, two] if both else [entry("fresh"), two])
    assert registry.find("measurement", "fresh") is None
    assert len(list(registry)) == (0 if both else 1)


def test_listings_are_in_category_order_with_built_ins_first():
    registry = Registry()
    names = ["zebra", "fog/haze", "apple"]
    registry.add(entry(name, category) for category in reversed(CATEGORIES) for name in names)
    assert registry.names("metric") == ["apple", "zebra", "fog/haze"]
    listed = [(each.category, each.name) for each in registry]
    assert listed == [(category, name) for category in CATEGORIES for name in ("apple", "zebra", "fog/haze")]


def test_the_summary_is_the_docstrings_first_line():
    assert entry("haze").component.summary == "A grey veil."


@pytest.mark.parametrize("given", [{"strenght": 1.0}, {"strength": float("nan")}, {"strength": float("inf")}])
def test_options_take_no_unknown_key_and_no_number_that_is_not_finite(given):
    with pytest.raises(ValidationError):
        Veil(**given)


def test_options_are_frozen_and_promise_nothing_by_default():
    with pytest.raises(ValidationError):
        Veil().strength = 1.0  # type: ignore[misc]
    assert Veil().facts() is None
    assert list(Veil().complaints(Context())) == []


@pytest.mark.parametrize(
    ("word", "said"), [("bacth", "did you mean 'batch'?"), ("batch", "did you mean 'batch'?"), ("zzz", "")]
)
def test_did_you_mean(word, said):
    assert did_you_mean(word, ["batch", "steps"]) == said


def test_a_complaint_is_no_mere_warning_unless_it_says_so():
    assert Complaint("size", "is too large").warning is False
    assert Complaint("size", "is too large", warning=True).warning is True


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (Complaint("size", "is too large"), "message"),
        (entry("fog/haze").component, "kind"),
        (entry("fog/haze"), "source"),
        (Veil(), "strength"),
        (Spec(kind="veil"), "kind"),
    ],
)
def test_records_of_plugins_cannot_be_changed_by_others(record, field):
    with pytest.raises((FrozenInstanceError, ValidationError)):
        setattr(record, field, "other")
