"""The verbs for authors: what new-plugin writes and says, what check-plugin finds, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from docs_tables import ROOT

from ambientkit import Engine
from ambientkit.cli import main
from ambientkit.errors import PluginError, RecipeError
from ambientkit.plugin_check import LoadedPlugin, load_plugin

HAZE = ROOT / "docs/examples/haze.py"
BROKEN = HAZE.read_text("utf-8").replace("+ noise", "+ noise + torch.randn(1)")
TWO = '''
from pydantic import Field

from ambientkit import Component, Options, hookimpl

AMBIENTKIT_HOOK_API = 1


class TallyOptions(Options):
    """Counts steps."""

    every: int = Field(ge=1)
    """Steps between two counts; it has no default."""
    start: int = Field(0, ge=0, le=1)
    """Where counting begins."""


class Tally:
    def __init__(self, options):
        self.options, self.count = options, options.start

    @hookimpl
    def on_step_end(self, report):
        if report.step % self.options.every == 0:
            self.count += 1


@hookimpl
def register_callbacks():
    yield Component("tally", TallyOptions, lambda options, context: Tally(options))
    yield Component("other", TallyOptions, lambda options, context: Tally(options))
'''


def cli(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A file with two observers that have a required option."""
    file = tmp_path / "two.py"
    file.write_text(TWO)
    return file


# new-plugin -------------------------------------------------------------------------------------


def test_new_plugin_prints_the_folder_and_says_what_to_do_next(tmp_path):
    done = cli("new-plugin", "fog", "--kind", "callback", "--out", tmp_path / "deep")
    folder = tmp_path / "deep/ambientkit-fog"
    assert (done.exit_code, done.stdout.strip()) == (0, str(folder))
    assert "register_callbacks" in (folder / "src/ambientkit_fog/__init__.py").read_text()
    for said in (f"pip install -e {folder}", "check-plugin fog", f"{folder}/fog.yaml", "licence"):
        assert said in done.stderr


def test_new_plugin_makes_a_sensor_in_the_current_folder_and_can_be_quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = cli("-q", "new-plugin", "fog")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "ambientkit-fog\n", "")
    assert (tmp_path / "ambientkit-fog/src/ambientkit_fog/sensor.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["My_Fog"], "'my-fog' would do"),
        (["fog", "--kind", "sensor"], "'measurement'"),
        (["there"], "exists already"),
    ],
)
def test_new_plugin_refuses_with_exit_code_2(arguments, said, tmp_path):
    (tmp_path / "ambientkit-there").mkdir()
    done = cli("new-plugin", *arguments, "--out", tmp_path)
    assert done.exit_code == 2 and said in done.stderr and done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["ambientkit-there"]


# check-plugin -----------------------------------------------------------------------------------


def test_a_sound_file_passes_and_it_is_said_that_it_runs():
    done = cli("check-plugin", HAZE)
    assert done.exit_code == 0, done.output
    assert "its code is run now" in done.stderr
    for said in ("component", "measurement/haze/haze", "passed", "skipped", "0 failed"):
        assert said in done.stdout
    assert "it_can_be_built" not in done.stdout
    every = cli("check-plugin", HAZE, "--all").stdout
    assert "it_can_be_built" in every and "`observed` is None" in every


def test_a_broken_promise_is_exit_code_1_with_its_remedy(tmp_path):
    file = tmp_path / "haze.py"
    file.write_text(BROKEN)
    done = cli("check-plugin", file)
    assert done.exit_code == 1
    failures = [
        line for line in done.stdout.splitlines() if line.startswith("measurement/haze/haze (defaults)")
    ]
    assert failures and any("; " in line for line in failures)
    assert not done.stdout.rstrip().endswith(" 0 failed")


def test_json_has_every_finding(tmp_path):
    file = tmp_path / "haze.py"
    file.write_text(BROKEN)
    done = cli("check-plugin", file, "--json", "--option", "noise=0")
    told = json.loads(done.stdout)
    assert done.exit_code == 1 and told["passed"] is False
    (component,) = told["components"]
    assert (component["component"], component["options"]) == ("measurement/haze/haze", "noise=0")
    outcomes = {finding["outcome"] for finding in component["findings"]}
    assert outcomes == {"passed", "failed", "skipped"}
    assert all(each["message"] for each in component["findings"] if each["outcome"] != "passed")


def test_required_options_are_asked_for_and_can_be_given(two):
    refused = cli("check-plugin", two)
    assert refused.exit_code == 2 and "every" in refused.stderr and refused.stdout == ""
    done = cli("check-plugin", two, "--option", "every=2")
    assert done.exit_code == 0, done.output
    assert "callback/two/tally" in done.stdout and "callback/two/other" in done.stdout
    assert "2 components" in done.stdout


def test_corners_try_every_bound(two):
    done = cli("check-plugin", two, "--option", "every=2", "--corners", "--json")
    assert done.exit_code == 0, done.output
    labels = [each["options"] for each in json.loads(done.stdout)["components"]]
    assert labels == ["every=2", "start=1"] * 2


def test_corners_that_a_plugin_refuses_itself_are_passed_over():
    """A block larger than every picture that is tried."""
    loaded = load_plugin("masks")
    found = [
        each
        for each in LoadedPlugin(loaded.reports, loaded.plugins).check({"size": 16}, corners=True)
        if each.component == "measurement/keep_patch"
    ]
    assert [each.options for each in found][:1] == ["size=16"] and len(found) > 1
    assert all(each.failures == () for each in found)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.py"], "no such file"),
        (["faases"], "did you mean 'faces'"),
        (["unheard-of"], "install ambientkit-unheard-of"),
        ([str(ROOT)], "is a folder; install it"),
        ([HAZE, "--option", "densset=0.5"], "did you mean 'densest'"),
        ([HAZE, "--option", "densest=2"], "densest"),
        ([HAZE, "--option", "densest"], "KEY=VALUE"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_checked_is_exit_code_2(arguments, said):
    done = cli("check-plugin", *arguments)
    assert done.exit_code == 2 and said in done.stderr, done.output
    assert done.stdout == ""


def test_a_plugin_that_cannot_be_loaded_is_exit_code_2_with_the_reason(tmp_path):
    file = tmp_path / "haze.py"
    file.write_text("import nothing_like_it\n")
    done = cli("check-plugin", file)
    assert done.exit_code == 2 and "nothing_like_it" in done.stderr


def test_an_installed_plugin_that_failed_is_told_with_the_reason(monkeypatch):
    loaded = Engine(discover=False).plugins
    loaded.reports = tuple(
        type(each)(each.name, each.namespace, each.version, each.source, (), "ImportError: no wing")
        for each in loaded.reports
        if each.name == "faces"
    )
    monkeypatch.setattr("ambientkit.plugin_check.Engine", lambda: SimpleNamespace(plugins=loaded))
    with pytest.raises(PluginError, match="no wing"):
        load_plugin("faces")


def test_several_plugins_are_checked_in_one_go(two):
    done = cli("check-plugin", "faces", "ambientkit-fidelity", "--json")
    assert done.exit_code == 0, done.output
    names = [each["component"] for each in json.loads(done.stdout)["components"]]
    fidelities = ["feature_matching", "held_out", "held_out_energy", "measurement_consistency"]
    assert names == ["dataset/toy_faces", *(f"fidelity/{name}" for name in fidelities)]


def test_nothing_is_checked_before_all_options_are(two):
    plugin = load_plugin(str(two))
    with pytest.raises(RecipeError):
        next(iter(plugin.check({"every": 0})))


def test_a_plugin_that_offers_nothing_is_no_success(tmp_path):
    file = tmp_path / "empty.py"
    file.write_text(
        "from ambientkit import hookimpl\nAMBIENTKIT_HOOK_API = 1\n"
        "@hookimpl\ndef register_metrics():\n    return []\n"
    )
    done = cli("check-plugin", file)
    assert done.exit_code == 2 and "offers no component" in done.stderr
