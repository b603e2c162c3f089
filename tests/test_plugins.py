"""Plugins: found, loaded one at a time, rolled back when they fail, and explained when they are missing."""

from __future__ import annotations

import sys
import textwrap
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Annotated, ClassVar, Literal

import pytest
from engine_recipes import tiny
from pydantic import ConfigDict, Field, FilePath, create_model, field_validator
from pydantic_core import PydanticCustomError

from ambientkit import Component, Context, Engine, Options, hookimpl
from ambientkit.errors import PluginError, RunFolderError
from ambientkit.names import CATEGORIES
from ambientkit.plugin_loading import CATEGORY_OF_HOOK, _require_fitting_defaults
from ambientkit.plugin_sources import BRIDGES
from ambientkit.plugins import Plugins, lifecycle

pytestmark = pytest.mark.smoke

GOOD = '''
from ambientkit import Component, Options, hookimpl

AMBIENTKIT_HOOK_API = 1

class Haze(Options):
    """A grey veil."""

    strength: float = 0.5
    """How grey."""

@hookimpl
def register_measurements():
    yield Component("haze", Haze, lambda options, context: options)
'''


class HazeOptions(Options):
    """A grey veil."""

    strength: float = 0.5
    """How grey."""


def build(options: HazeOptions, context: Context) -> HazeOptions:
    return options


def plugin(*components: object, hook: str = "register_measurements", **members: object) -> ModuleType:
    """A plugin module that yields `components`."""
    module = ModuleType("somewhere.fog")
    module.AMBIENTKIT_HOOK_API = 1  # type: ignore[attr-defined]

    def register():
        yield from components

    setattr(module, hook, hookimpl(register))
    vars(module).update(members)
    return module


def install(site: Path, distribution: str, entry: str, code: str, module: str = "") -> None:
    """Put a distribution with one entry point and one module into a folder on `sys.path`."""
    module = module or distribution.replace("-", "_") + "_plugin"
    info = site / f"{distribution.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    info.joinpath("entry_points.txt").write_text(f"[ambientkit]\n{entry} = {module}\n")
    site.joinpath(f"{module}.py").write_text(textwrap.dedent(code))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on `sys.path`; what is imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.endswith("_plugin") or name == "lab":
            del sys.modules[name]


def report(plugins: Plugins, name: str):
    (found,) = (report for report in plugins.reports if report.name == name and report.namespace)
    return found


# Built-ins --------------------------------------------------------------------------------------


def test_every_built_in_entry_point_loads_with_a_bare_kind():
    plugins = Plugins.discover(discover=False)
    points = [point for point in metadata.entry_points(group="ambientkit") if point.dist.name == "ambientkit"]
    assert len(points) >= 10
    assert {found.name for found in plugins.reports} == {point.name for point in points}
    assert {found.name: found.error for found in plugins.failures} == {}
    assert all(found.components for found in plugins.reports)
    bridged = {entry.name.partition("/")[0] for entry in plugins.registry if "/" in entry.name}
    assert bridged == BRIDGES


def test_every_category_has_a_hook_and_a_built_in():
    offered = {entry.category for entry in Plugins.discover(discover=False).registry}
    assert set(CATEGORY_OF_HOOK.values()) == set(CATEGORIES) == offered


def test_without_the_distribution_the_report_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("ambientkit.plugin_sources.entry_points", lambda group: ())
    plugins = Plugins.discover()
    assert "pip install" in (plugins.reports[0].error or "")
    assert "built-in plugins failed: ambientkit" in plugins.explain_missing("measurement", "block_patch")


# Installed distributions ------------------------------------------------------------------------


def test_an_installed_plugin_gets_its_distributions_namespace(site):
    install(site, "ambientkit-fog", "weather", GOOD)
    found = report(Plugins.discover(), "weather")
    assert (found.namespace, found.version, found.error) == ("fog", "1.2", None)
    assert found.source == "ambientkit-fog 1.2 (entry point weather)"
    assert found.components == ("measurement/fog/haze",)


@pytest.mark.parametrize(
    ("distribution", "namespace"), [("Ambientkit_Fog", "fog"), ("Fog.Tools", "fog-tools"), ("fog", "fog")]
)
def test_namespaces_are_normalised(site, distribution, namespace):
    install(site, distribution, "haze", GOOD, module="some_plugin")
    assert report(Plugins.discover(), "haze").namespace == namespace


def test_without_discovery_nothing_installed_is_imported(site):
    install(site, "ambientkit-fog", "haze", GOOD)
    plugins = Plugins.discover(discover=False)
    assert {found.namespace for found in plugins.reports} == {"", *BRIDGES}
    assert "ambientkit_fog_plugin" not in sys.modules


def test_a_distribution_that_stands_twice_on_the_path_counts_once(site, monkeypatch):
    install(site, "ambientkit-fog", "haze", GOOD)
    install(site / "again", "ambientkit-fog", "haze", GOOD)
    monkeypatch.syspath_prepend(site / "again")
    assert report(Plugins.discover(), "haze").error is None


def test_a_broken_plugin_breaks_only_itself(site):
    install(site, "ambientkit-bad", "bad", "import nothing_of_that_name")
    install(site, "ambientkit-fog", "haze", GOOD)
    plugins = Plugins.discover()
    assert plugins.registry.find("measurement", "fog/haze")
    assert plugins.registry.find("measurement", "block_patch")
    error = report(plugins, "bad").error or ""
    assert "nothing_of_that_name" in error and "ambientkit_bad_plugin.py:1" in error and "\n" not in error


@pytest.mark.parametrize("fault", ["raise SystemExit(3)", "x = (", "1 / 0", "raise ValueError('a\\nb')"])
def test_whatever_an_import_does_is_one_line_with_its_place(site, fault):
    install(site, "ambientkit-bad", "bad", f"y = 1\n{fault}\n")
    error = report(Plugins.discover(), "bad").error or ""
    assert "\n" not in error and "ambientkit_bad_plugin.py:2" in error


def test_a_package_beside_the_engine_whose_name_begins_like_it_has_its_place_told(site, monkeypatch):
    install(site, "ambientkit-bad", "bad", "1 / 0")
    monkeypatch.setattr("ambientkit.plugin_loading.__file__", str(site / "ambientkit" / "plugin_loading.py"))
    assert "ambientkit_bad_plugin.py:1" in (report(Plugins.discover(), "bad").error or "")


def test_a_ctrl_c_while_importing_is_the_users(site):
    install(site, "ambientkit-bad", "bad", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Plugins.discover()


def test_a_plugin_that_raises_half_way_leaves_nothing_behind(site):
    install(site, "ambientkit-bad", "bad", GOOD + "    raise RuntimeError('half way')\n")
    plugins = Plugins.discover()
    found = report(plugins, "bad")
    assert "half way" in (found.error or "") and found.components == ()
    assert plugins.registry.find("measurement", "bad/haze") is None


def test_the_later_of_two_sources_of_one_name_fails_and_both_are_named(site):
    install(site, "ambientkit-fog", "first", GOOD, module="one_plugin")
    install(site, "fog", "second", GOOD, module="two_plugin")
    plugins = Plugins.discover()
    error = report(plugins, "second").error or ""
    assert "ambientkit-fog 1.2 (entry point first)" in error and "fog 1.2 (entry point second)" in error
    assert report(plugins, "first").error is None
    assert plugins.registry.find("measurement", "fog/haze").source.startswith("ambientkit-fog")


# Files and objects ------------------------------------------------------------------------------


def test_a_file_gets_the_namespace_of_its_stem_and_its_content_as_version(tmp_path):
    path = tmp_path / "my-fog.py"
    path.write_text(GOOD)
    one = Plugins.discover(files=[path, str(path)], discover=False)
    found = report(one, "my-fog")
    assert (found.components, found.source) == (("measurement/my-fog/haze",), f"file {path}")
    path.write_text(GOOD + "# changed\n")
    assert report(Plugins.discover(files=[path]), "my-fog").version != found.version


def test_a_file_that_fails_is_an_error_at_once_and_is_not_kept(tmp_path):
    path = tmp_path / "fog.py"
    path.write_text("y = 1\n1 / 0\n")
    before = set(sys.modules)
    with pytest.raises(PluginError, match=r"fog\.py: ZeroDivisionError.*fog\.py:2"):
        Plugins.discover(files=[path])
    assert not [name for name in set(sys.modules) - before if "fog" in name]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.py", None, "there is no such file"),
        ("fog.txt", GOOD, "is no Python file"),
        ("__init__.py", GOOD, "is part of a package, which `pip install -e`"),
        ("fog and haze.py", GOOD, "'fog and haze' cannot be a namespace"),
    ],
)
def test_what_is_no_plugin_file_is_refused(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(PluginError, match=said):
        Plugins.discover(files=[tmp_path / name])


def test_an_objects_namespace_is_its_own_or_the_last_part_of_its_name():
    module = plugin(Component("haze", HazeOptions, build))
    assert Plugins.discover([module]).registry.find("measurement", "fog/haze")
    named = plugin(Component("haze", HazeOptions, build), namespace="weather")
    assert Plugins.discover([named]).registry.find("measurement", "weather/haze")


def test_an_instance_can_be_a_plugin():
    class Weather:
        AMBIENTKIT_HOOK_API = 1

        @hookimpl
        def register_measurements(self):
            return [Component("haze", HazeOptions, build)]

    assert Plugins.discover([Weather()]).registry.find("measurement", "Weather/haze")


# What is wrong with a plugin --------------------------------------------------------------------


class Undescribed(Options):
    """A veil."""

    strength: float = 0.5


class NoDocstring(Options):
    strength: float = 0.5
    """How grey."""


class TakesKind(Options):
    """A veil."""

    kind: str = "grey"
    """Its sort."""


class TakesEvery(Options):
    """A figure."""

    every: int = 1
    """How often."""


class Lax(Options):
    """A veil that takes anything."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")


class TooMuch(Options):
    """A veil whose default is beyond its bound."""

    strength: float = Field(1.5, ge=0, lt=1)
    """How grey."""


class NoNumber(Options):
    """A veil whose default has another type."""

    strength: float = None
    """How grey."""


class Choosy(Options):
    """A veil that has to be told something, and defaults that only its own validators refuse."""

    colour: str
    """What colour."""
    strength: float = 0.5
    """How grey."""

    @field_validator("strength")
    @classmethod
    def asked(cls, value):
        raise ValueError("not today")


class Particular(Options):
    """A veil whose validator has an error of its own, which is named as if it were one of form."""

    strength: float = 0.5
    """How grey."""

    @field_validator("strength")
    @classmethod
    def asked(cls, value):
        raise PydanticCustomError("veil_type", "not today")


class FromFile(Options):
    """A veil from a file, which may be made later."""

    weights: FilePath = Path("weights-that-nobody-made.pt")
    """Where it lies."""


class Loose:
    """No options."""


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (plugin(AMBIENTKIT_HOOK_API=None), "add AMBIENTKIT_HOOK_API = 1"),
        (plugin(AMBIENTKIT_HOOK_API=2), "written for hook API 2, this ambientkit has 1"),
        (
            plugin(hook="register_measurments"),
            "no hook 'register_measurments'; did you mean 'register_measurements'",
        ),
        (plugin(hook="on_step_end"), "on_step_end is a hook of callbacks"),
        (SimpleNamespace(AMBIENTKIT_HOOK_API=1), "it has no hook; write one, such as register_"),
        (
            SimpleNamespace(AMBIENTKIT_HOOK_API=1, register_metrics=list),
            "mark register_metrics with @hookimpl",
        ),
        (plugin(register_measurements=hookimpl(lambda: None)), "returned None; yield Component"),
        (plugin(register_measurements=hookimpl(lambda: 3)), "returned a int; yield Component"),
        (plugin(register_measurements=hookimpl(lambda size: [])), "has no arguments; leave out 'size'"),
        (plugin(AMBIENTKIT_HOOK_API="1"), "AMBIENTKIT_HOOK_API is '1', which is no whole number; write 1"),
        (plugin(("haze", HazeOptions, build)), "yielded a tuple; yield Component"),
        (plugin(Component("Haze!", HazeOptions, build)), "kind 'Haze!' may hold a-z, 0-9 and _ only"),
        (plugin(Component("haze", HazeOptions, "build")), "build is a str"),
        (plugin(Component("haze", Loose, build)), "give a subclass of ambientkit.Options"),
        (plugin(Component("haze", Options, build)), "give a subclass of ambientkit.Options"),
        (plugin(Component("haze", NoDocstring, build)), "NoDocstring has no docstring"),
        (plugin(Component("haze", Undescribed, build)), "option 'strength' is not described"),
        (plugin(Component("haze", Lax, build)), "must keep extra='forbid'"),
        (plugin(Component("haze", TakesKind, build)), "a key 'kind' of its own"),
        (plugin(Component("haze", TakesEvery, build), hook="register_metrics"), "a key 'every' of its own"),
        (plugin(*[Component("haze", HazeOptions, build)] * 2), "'fog/haze' is offered twice by object"),
        (plugin(Component("haze", TooMuch, build)), "default of option 'strength' is 1.5, which it does not"),
        (plugin(Component("haze", NoNumber, build)), "'strength' is None, which it does not take itself"),
    ],
)
def test_a_faulty_plugin_is_refused_with_the_reason(broken, said):
    with pytest.raises(PluginError) as caught:
        Plugins.discover([broken], discover=False)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("form", "default"),
    [
        (int, 1.5),
        (int, "many"),
        (int, []),
        (Annotated[int, Field(multiple_of=2)], 3),
        (Annotated[int, Field(ge=0)], -2),
        (Annotated[int, Field(lt=10)], 10),
        (Annotated[str, Field(pattern="^[a-z]*$")], "A"),
        (Annotated[str, Field(max_length=3)], "abcd"),
        (Annotated[str, Field(min_length=1)], ""),
        (Literal["a", "b"], "c"),
        (Annotated[tuple[int, ...], Field(min_length=1)], ()),
        (Annotated[tuple[int, ...], Field(max_length=2)], (1, 2, 3)),
        (tuple[int, ...], (1, "many")),
    ],
)
def test_a_default_of_another_form_or_beyond_its_bounds_is_refused(form, default):
    options = create_model("Wrong", __base__=Options, strength=(form, default))
    with pytest.raises(PluginError, match=r"the default of option 'strength' is .* does not take itself"):
        _require_fitting_defaults(options, "measurement 'haze'")


@pytest.mark.parametrize("options", [Choosy, Particular, FromFile])
def test_defaults_that_a_validator_refuses_or_whose_file_is_not_there_wait_for_a_recipe(options):
    plugins = Plugins.discover([plugin(Component("haze", options, build))], discover=False)
    assert plugins.registry.find("measurement", "fog/haze")


def test_every_is_free_where_the_recipe_does_not_use_it():
    assert Plugins.discover([plugin(Component("haze", TakesEvery, build))]).registry.find(
        "measurement", "fog/haze"
    )


# What is missing --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "name", "said"),
    [
        ("measurement", "block_pach", "did you mean 'block_patch'?"),
        ("measurement", "haze", "did you mean 'deepinv/haze' or 'fog/haze'?"),
        ("measurement", "fog/block_patch", "did you mean 'block_patch'?"),
        ("measurement", "fog/hase", "did you mean 'fog/haze'?"),
        ("measurement", "zzz", "more, which `ambientkit plugins` lists"),
        ("generator", "block_patch", "'block_patch' is a measurement, not a generator"),
        ("measurment", "block_patch", "no category 'measurment'; did you mean 'measurement'?"),
        ("measurement", "rain/drops", "install ambientkit-rain or pass --plugin rain.py"),
        ("measurement", "fogg/mist", "'fogg'; did you mean 'fog'? or install"),
    ],
)
def test_a_missing_component_is_explained(category, name, said):
    plugins = Plugins.discover([plugin(Component("haze", HazeOptions, build))], discover=False)
    assert said in plugins.explain_missing(category, name)
    with pytest.raises(PluginError, match=f"^unknown {category} '{name}'; "):
        plugins.require(category, name)


def test_a_missing_component_of_a_plugin_that_failed_names_its_error(site):
    install(site, "ambientkit-bad", "broken", "raise ValueError('no licence')")
    said = Plugins.discover().explain_missing("measurement", "bad/haze")
    assert "plugin 'broken', ambientkit-bad 1.2 (entry point broken), failed: ValueError: no licence" in said


def test_used_says_which_plugins_a_run_was_made_with(tmp_path):
    path = tmp_path / "fog.py"
    path.write_text(GOOD)
    plugins = Plugins.discover(files=[path], discover=False)
    chosen = [plugins.require("measurement", "fog/haze"), plugins.require("measurement", "block_patch")]
    (built_in, own) = plugins.used(chosen)
    assert (built_in["name"], built_in["version"]) == ("masks", metadata.version("ambientkit"))
    assert own == {
        "name": "fog",
        "namespace": "fog",
        "version": report(plugins, "fog").version,
        "source": f"file {path}",
    }


# Callbacks --------------------------------------------------------------------------------------


class Notes:
    """A callback that writes down what it was told."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name = name
        self.told = told

    @hookimpl
    def on_step_end(self, report):
        self.told.append(self.name)


def test_callbacks_are_called_in_the_order_of_the_recipe():
    told: list[str] = []
    manager = lifecycle([Notes("first", told), Notes("second", told), Notes("third", told)])
    manager.hook.on_step_end(run=None, report=None)
    assert told == ["first", "second", "third"]


def test_no_callbacks_are_fine():
    assert lifecycle([]).hook.on_step_end(run=None, report=None) == []


class Misspelt:
    @hookimpl
    def on_step_ends(self): ...


class TooMany:
    @hookimpl
    def on_step_end(self, step): ...


class WrongSort:
    @hookimpl
    def register_metrics(self): ...


@pytest.mark.parametrize(
    ("callback", "said"),
    [
        (Misspelt(), "callback Misspelt: there is no hook 'on_step_ends'; did you mean 'on_step_end'?"),
        (WrongSort(), "register_metrics is a hook of plugins"),
        (TooMany(), "step"),
        (object(), "it has no hook"),
    ],
)
def test_a_faulty_callback_is_refused(callback, said):
    with pytest.raises(PluginError) as caught:
        lifecycle([callback])
    assert said in str(caught.value)


def test_the_same_callback_twice_is_refused():
    one = Notes("one", [])
    with pytest.raises(PluginError, match="listed twice"):
        lifecycle([one, one])


ODD = """
from ambientkit import Component, Options, hookimpl

AMBIENTKIT_HOOK_API = 1

class Odd: ...

class OddOptions(Options):
    "Options."

    value: Odd
    "What pydantic does not know."

@hookimpl
def register_metrics():
    yield Component("odd", OddOptions, lambda options, context: None)
"""


def test_options_of_a_type_that_is_not_understood_are_refused_when_they_are_loaded(tmp_path):
    (tmp_path / "odd.py").write_text(ODD)
    told = "the options OddOptions cannot be read: Unable to generate pydantic-core schema"
    with pytest.raises(PluginError, match=told):
        Plugins.discover(files=[tmp_path / "odd.py"], discover=False)


# What a run remembers of an installed package -----------------------------------------------------

OBSERVER = '''
from ambientkit import Component, Options, hookimpl

AMBIENTKIT_HOOK_API = 1

class Nothing(Options):
    """Nothing to set."""

class Silent:
    @hookimpl
    def on_step_end(self, run, report):
        pass

@hookimpl
def register_callbacks():
    yield Component("silent", Nothing, lambda options, context: Silent())
'''


def code_used(plugins: Plugins) -> str:
    (used,) = plugins.used([plugins.require("measurement", "fog/haze")])
    return used["code"]


def test_a_packages_code_is_told_by_all_of_its_files(site):
    package = site / "ambientkit_fog_plugin"
    (package / "inner").mkdir(parents=True)
    install(site, "ambientkit-fog", "haze", GOOD)
    (site / "ambientkit_fog_plugin.py").rename(package / "__init__.py")
    (package / "inner" / "deep.py").write_text("A = 1\n")
    plugins = Plugins.discover()
    first = code_used(plugins)
    assert first.startswith("sha256:") and code_used(plugins) == first
    (package / "notes.txt").write_text("nothing that is run")
    assert code_used(plugins) == first
    (package / "inner" / "deep.py").write_text("A = 2\n")
    assert code_used(plugins) != first


def fog_package(site: Path) -> Path:
    """A plugin that is a package, installed; its folder."""
    package = site / "ambientkit_fog_plugin"
    package.mkdir()
    install(site, "ambientkit-fog", "haze", GOOD)
    return (site / "ambientkit_fog_plugin.py").rename(package / "__init__.py").parent


def test_what_editors_keep_beside_a_packages_files_is_no_code_of_it(site):
    package = fog_package(site)
    plugins = Plugins.discover()
    first = code_used(plugins)
    (package / ".#__init__.py").symlink_to("somebody@somewhere.4711")  # as Emacs does
    (package / "old.py").symlink_to(package / "gone")
    (package / "folder.py").mkdir()
    (package / ".ipynb_checkpoints").mkdir()
    (package / ".ipynb_checkpoints" / "draft.py").write_text("A = 1\n")
    (package / ".draft.py").write_text("A = 1\n")
    assert code_used(plugins) == first


def test_a_file_that_vanishes_while_a_package_is_read_is_no_code_of_it(site, monkeypatch):
    package = fog_package(site)
    plugins = Plugins.discover()
    first = code_used(plugins)
    (package / "passing.py").write_text("A = 1\n")
    sound = Path.read_bytes

    def read_bytes(path):
        if path.name == "passing.py":
            raise FileNotFoundError(path)
        return sound(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert code_used(plugins) == first


def test_a_package_below_a_folder_with_a_dot_has_code(tmp_path, monkeypatch, site):
    hidden = tmp_path / ".venv" / "lib"
    hidden.mkdir(parents=True)
    monkeypatch.syspath_prepend(hidden)
    fog_package(hidden)
    assert code_used(Plugins.discover())


@pytest.mark.parametrize("alone", [False, True], ids=["package", "module"])
def test_code_in_a_namespace_package_is_told(site, alone):
    """`lab` has no `__init__.py`: distributions of other people lie in it too."""
    install(site, "ambientkit-fog", "haze", GOOD, module="lab.fog_plugin")
    (site / "lab").mkdir()
    own = site / "lab" / ("fog_plugin.py" if alone else "fog_plugin/__init__.py")
    own.parent.mkdir(exist_ok=True)
    (site / "lab.fog_plugin.py").rename(own)
    plugins = Plugins.discover()
    first = code_used(plugins)
    (site / "lab" / "others.py").write_text("A = 1\n")
    assert code_used(plugins) == first
    with own.open("a") as file:
        file.write("# another thought\n")
    assert code_used(plugins) != first


def test_a_single_module_is_told_without_its_neighbours(site):
    install(site, "ambientkit-fog", "haze", GOOD)
    plugins = Plugins.discover()
    first = code_used(plugins)
    (site / "another.py").write_text("A = 1\n")
    assert code_used(plugins) == first


def test_files_objects_and_built_ins_have_no_code_besides(tmp_path):
    (tmp_path / "fog.py").write_text(GOOD)
    plugins = Plugins.discover(discover=False, files=[tmp_path / "fog.py"])
    chosen = [plugins.require("measurement", name) for name in ("block_patch", "fog/haze")]
    assert all("code" not in used for used in plugins.used(chosen))


def test_a_run_is_not_resumed_with_a_package_that_was_edited_where_it_lies(site, tmp_path, caplog):
    install(site, "ambientkit-fog", "haze", OBSERVER)
    engine = Engine(cache_dir=tmp_path / "cache")
    recipe = tiny(callbacks=[{"kind": "fog/silent"}])
    folder = engine.run(recipe, out=tmp_path / "runs", device="cpu", precision="fp32").folder
    assert engine.resume(folder).step == 2
    with (site / "ambientkit_fog_plugin.py").open("a") as file:
        file.write("# another thought\n")
    said = r"plugin haze: its code was edited since, and its version is still 1\.2; install the version"
    with pytest.raises(RunFolderError, match=said):
        engine.resume(folder)
    engine.open(folder, device="cpu")
    assert f"{folder}: plugin haze: its code was edited since" in caplog.text


def test_a_callback_whose_hook_forgot_self_is_refused():
    class Forgot:
        @hookimpl
        def on_step_end(run, report):
            pass

    class Bare:
        @hookimpl
        def on_checkpoint(self):
            pass

    said = r"callback Forgot: the hook on_step_end takes 'run' for the object itself; write on_step_end\(self"
    with pytest.raises(PluginError, match=said):
        lifecycle([Forgot()])
    lifecycle([Bare()])
