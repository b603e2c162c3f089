"""The command line: what each verb prints and leaves behind, and the exit code of every sort of end."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image
from pydantic import Field

from ambientkit import signals
from ambientkit.cli import main
from ambientkit.cli_shell import Shell
from ambientkit.cli_tables import option_rows
from ambientkit.engine import Engine
from ambientkit.errors import Interrupted, RunError
from ambientkit.registry import Options

pytestmark = pytest.mark.smoke

RECIPE = """\
recipe: 1
name: tiny
data: {source: {kind: toy_faces, count: 12}, image_size: [16, 16], holdout: 4}
measurement: {kind: block_patch, size: 6}
generator: {kind: glcic, width: 2, dilations: [1, 1, 1, 1], norm: none}
discriminator: {kind: dcgan, width: 2, norm: none}
objective: {kind: hinge}
train: {steps: 2, batch_size: 4}
metrics: [{kind: hidden_psnr}]
"""

PLUGIN = '''
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


def cli(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory):
    """Measured data are kept for the module, and away from the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMBIENTKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    return Path("tiny.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that the command line made."""
    root = tmp_path_factory.mktemp("finished")
    (root / "tiny.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMBIENTKIT_CACHE", str(root / "cache"))
        done = cli(
            "run", root / "tiny.yaml", "--out", root / "runs", "--device", "cpu", "--precision", "fp32"
        )
    assert done.exit_code == 0, done.output
    assert "hidden_psnr" in done.stdout and "untrained" in done.stdout
    assert "recipe tiny, seed 0, data toy_faces" in done.stdout
    return root / "runs" / "tiny" / "0001-seed0"


# Help and faults --------------------------------------------------------------------------------


def test_every_verb_has_a_help_that_ends_with_an_example():
    assert len(main.commands) >= 11
    for name, command in main.commands.items():
        shown = cli(name, "--help")
        assert shown.exit_code == 0
        lines = [line.strip() for line in shown.stdout.rpartition("Example")[2].splitlines()[1:]]
        assert lines and all(f"{line} ".startswith(f"ambientkit {name} ") for line in lines)
        assert command.help
        assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_version_and_unknown_verbs_and_contradictions():
    assert cli("--version").stdout == f"ambientkit {metadata.version('ambientkit')}\n"
    assert "did you mean 'show'?" in cli("shwo").stderr
    assert cli("shwo").exit_code == cli("-v", "-q", "plugins").exit_code == 2


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (RunError("no space"), 1, "The run failed: no space"),
        (Interrupted("stopped at step 3", 15), 143, "stopped at step 3"),
        (Interrupted("stopped at step 3", 2), 130, "stopped at step 3"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (PermissionError(13, "Permission denied", "runs"), 1, "Permission denied: 'runs'"),
        (
            TypeError("half a sentence"),
            1,
            "This is a bug in ambientkit or in a plugin: TypeError: half a sentence",
        ),
    ],
)
def test_every_sort_of_end_has_its_exit_code_and_no_traceback(monkeypatch, recipe, raised, code, said):
    def fail(*_arguments, **_options):
        raise raised

    monkeypatch.setattr(Engine, "load", fail)
    done = cli("run", recipe)
    assert done.exit_code == code
    assert said in done.stderr and "Traceback" not in done.output and done.stdout == ""
    bug = isinstance(raised, TypeError)
    assert ("Traceback" in cli("-v", "run", recipe).stderr) is bug


# Recipes ----------------------------------------------------------------------------------------


def test_validate_says_one_line_for_a_valid_recipe(recipe):
    done = cli("validate", recipe)
    assert (done.exit_code, done.stdout) == (0, "tiny.yaml: valid\n")


def test_validate_lists_every_problem_with_its_place(recipe):
    recipe.write_text(RECIPE.replace("batch_size", "bacth_size").replace("size: 6", "size: 0"))
    done = cli("validate", recipe)
    assert done.exit_code == 2 and done.stdout == ""
    assert "did you mean 'batch_size'?" in done.stderr and len(done.stderr.splitlines()) >= 2
    assert all(line.startswith("tiny.yaml:") for line in done.stderr.splitlines())


def test_validate_as_json(recipe):
    good = cli("validate", recipe, "--json")
    assert (good.exit_code, json.loads(good.stdout)["valid"]) == (0, True)
    bad = cli("validate", recipe, "train.stepps=3", "--json")
    (problem,) = json.loads(bad.stdout)["problems"]
    assert bad.exit_code == 2
    assert problem["path"] == "train.stepps" and problem["remedy"] == "did you mean 'steps'?"


def test_show_prints_a_recipe_that_loads_to_itself(recipe, tmp_path):
    shown = cli("show", recipe, "train.steps=7").stdout
    assert yaml.safe_load(shown)["train"]["steps"] == 7
    (tmp_path / "shown.yaml").write_text(shown)
    assert cli("show", "shown.yaml").stdout == shown


def test_show_origins_says_where_each_value_was_written(recipe):
    lines = cli("show", recipe, "seed=3", "--origins").stdout.splitlines()
    assert "train.batch_size = 4  # tiny.yaml:8:19" in lines
    assert any(line.startswith("seed = 3  # override") for line in lines)


def test_a_copied_child_finds_its_parent(recipe, tmp_path):
    assert cli("cp", "ambientgan/mnist_project", "far/mine.yaml").exit_code == 0
    assert "extends: ambientgan/mnist_block_pixels\n" in (tmp_path / "far/mine.yaml").read_text()
    assert cli("validate", "far/mine.yaml").exit_code == 0
    (tmp_path / "child.yaml").write_text(f"# mine\nextends: {recipe.name}\nseed: 4\n")
    assert cli("cp", "child.yaml", "far").exit_code == 0
    assert "extends: ../tiny.yaml\n" in (tmp_path / "far/child.yaml").read_text()
    assert cli("validate", "far/child.yaml").exit_code == 0


def test_what_is_no_text_is_not_copied(recipe, tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    refused = cli("cp", "latin.yaml", "out.yaml")
    assert refused.exit_code == 2 and "not UTF-8 text" in refused.stderr


def test_text_that_looks_like_a_number_is_shown_as_text(recipe, tmp_path):
    (tmp_path / "shown.yaml").write_text(cli("show", "quickstart", "name='1e3'").stdout)
    assert cli("validate", "shown.yaml").exit_code == 0


@pytest.mark.parametrize(("size", "told"), [("2", "RANK is not set"), ("abc", "WORLD_SIZE='abc'")])
def test_what_a_cluster_left_in_the_environment_is_told(recipe, monkeypatch, size, told):
    monkeypatch.setenv("WORLD_SIZE", size)
    refused = cli("run", recipe)
    assert refused.exit_code == 2 and told in refused.stderr


def test_cp_copies_and_never_overwrites_unless_forced(recipe, tmp_path):
    (tmp_path / "folder").mkdir()
    assert cli("cp", recipe, "folder").exit_code == 0
    copy = tmp_path / "folder" / "tiny.yaml"
    assert copy.read_text() == RECIPE
    copy.write_text("mine")
    refused = cli("cp", recipe, copy)
    assert refused.exit_code == 2 and "--force" in refused.stderr and copy.read_text() == "mine"
    assert cli("cp", recipe, copy, "--force").exit_code == 0 and copy.read_text() == RECIPE
    assert cli("cp", recipe, recipe, "--force").exit_code == 2 and recipe.read_text() == RECIPE
    assert cli("-q", "cp", recipe, "new/deep.yaml").stderr == "" and Path("new/deep.yaml").exists()
    assert cli("cp", "quickstart", "mine.yaml").exit_code == 0
    assert "yaml-language-server" not in Path("mine.yaml").read_text(), "the schema does not lie there"
    assert cli("validate", "mine.yaml").exit_code == 0


def test_schema_is_json_and_can_go_to_a_file(recipe):
    shown = json.loads(cli("schema").stdout)
    assert "measurement.block_patch" in shown["$defs"]
    assert cli("schema", "--out", "s/recipe.json").stdout == ""
    assert json.loads(Path("s/recipe.json").read_text()) == shown


# Components -------------------------------------------------------------------------------------


def test_plugins_lists_what_is_there_and_what_a_file_adds(recipe):
    Path("fog.py").write_text(PLUGIN)
    assert "fog/haze" not in cli("plugins").stdout
    assert "measurement/fog/haze" in cli("plugins", "--plugin", "fog.py").stdout
    listed = json.loads(cli("plugins", "--plugin", "fog.py", "--json").stdout)
    assert listed[-1]["namespace"] == "fog" and listed[-1]["components"] == ["measurement/fog/haze"]
    assert {"name", "version", "source", "error"} <= set(listed[0])


def test_plugins_says_what_is_wrong_with_one(monkeypatch):
    monkeypatch.setattr("ambientkit.plugin_sources.entry_points", lambda group: ())
    done = cli("plugins")
    assert done.exit_code == 0
    assert "FAILED" in done.stdout and "ambientkit (built-in) failed: the distribution" in done.stdout


def test_a_plugin_file_that_fails_ends_the_verb(recipe):
    Path("fog.py").write_text("1 / 0")
    done = cli("plugins", "--plugin", "fog.py")
    assert done.exit_code == 2 and "ZeroDivisionError" in done.stderr and "fog.py:1" in done.stderr


def test_describe_has_every_option_with_type_default_bounds_and_description(recipe):
    Path("fog.py").write_text(PLUGIN)
    done = cli("describe", "measurement/fog/haze", "--plugin", "fog.py")
    assert "A grey veil." in done.stdout and "How grey." in done.stdout and "fog.py" in done.stdout
    told = json.loads(cli("describe", "measurement/block_patch", "--json").stdout)
    options = {option["name"]: option for option in told["options"]}
    assert options["fill"]["type"] == "number" and options["fill"]["bounds"] == ">= -1, <= 1"
    assert all(option["description"] for option in options.values())


def test_describe_lists_a_category(recipe):
    Path("fog.py").write_text(PLUGIN)
    shown = cli("describe", "measurement", "--plugin", "fog.py").stdout
    assert "block_patch" in shown and "fog/haze" in shown and "A grey veil." in shown and "hinge" not in shown
    told = json.loads(cli("describe", "objective", "--json").stdout)
    assert {"name", "summary"} == set(told[0]) and "hinge" in [each["name"] for each in told]


@pytest.mark.parametrize(
    ("component", "said"),
    [
        ("measurement/block_pach", "did you mean 'block_patch'?"),
        ("generator/block_patch", "is a measurement, not a generator"),
        ("block_patch", "did you mean measurement/block_patch?"),
        ("measurment/block_patch", "did you mean 'measurement'?"),
        ("nonsense", "write CATEGORY/NAME"),
    ],
)
def test_describe_explains_what_is_missing(component, said):
    done = cli("describe", component)
    assert done.exit_code == 2 and said in done.stderr


def test_option_rows_say_every_shape_of_type():
    class Inner(Options):
        """Something inside."""

        depth: int = 1
        """How deep."""

    class Shapes(Options):
        """Every shape."""

        size: int | tuple[int, int]
        """One or two."""
        names: list[str] = Field([])
        """Some text."""
        table: dict[str, int] = Field({})
        """By name."""
        inner: Inner = Inner()
        """Nested."""
        maybe: bool | None = None
        """Or nothing."""

    rows = {row.name: row for row in option_rows(Shapes.model_json_schema())}
    assert (rows["size"].type, rows["size"].default) == ("integer | [integer, integer]", "required")
    assert (rows["names"].type, rows["names"].default) == ("list of text", "[]")
    assert (rows["table"].type, rows["inner"].type) == ("mapping", "mapping")
    assert (rows["maybe"].type, rows["maybe"].default) == ("boolean | null", "null")


# Runs -------------------------------------------------------------------------------------------


def test_a_dry_run_says_sizes_and_steps_and_makes_no_run(recipe):
    done = cli("run", recipe, "--dry-run", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "tiny: 8 pictures of 3 x 16 x 16, 4 held out" in done.stdout
    assert "2 steps of 4 pictures on cpu" in done.stdout and "would write to runs/tiny" in done.stdout
    told = json.loads(cli("run", recipe, "--dry-run", "--device", "cpu", "--json").stdout)
    assert told["parameters"]["generator"] > 100 and told["total_steps"] == 2
    assert not Path("runs").exists()


def test_a_dry_run_says_which_pictures_are_left_out(recipe, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(13):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"")
    source = f"data.source={{kind: image_folder, root: {tmp_path / 'in'}, on_bad_image: skip}}"
    done = cli("run", recipe, source, "--dry-run", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "1 picture could not be read, left out: bad.png" in done.stderr
    told = json.loads(cli("run", recipe, source, "--dry-run", "--device", "cpu", "--json").stdout)
    assert told["skipped"] == ["bad.png"]


def test_an_override_that_is_wrong_ends_the_run_before_it_begins(recipe):
    done = cli("run", recipe, "train.step=3")
    assert done.exit_code == 2 and "did you mean 'steps'?" in done.stderr
    assert not Path("runs").exists()


@pytest.mark.parametrize("flag", [("--device", "tpu"), ("--precision", "fp8")])
def test_a_device_or_precision_that_is_not_there_is_an_input_error(recipe, flag):
    assert cli("run", recipe, *flag).exit_code == 2
    assert not Path("runs").exists()


def test_run_ends_with_json_when_asked(recipe):
    recipe.write_text(RECIPE + "callbacks: [{kind: console}]\n")
    done = cli("-q", "run", recipe, "seed=5", "--device", "cpu", "--json")
    assert done.exit_code == 0 and done.stderr == ""
    told = json.loads(done.stdout)
    assert told["folder"] == "runs/tiny/0001-seed5" and told["step"] == 2
    assert set(told["rows"]) >= {"untrained"} and told["figures"]


def test_run_shows_its_progress_on_stderr_and_its_log_when_asked(recipe):
    recipe.write_text(RECIPE + "callbacks: [{kind: console}]\n")
    done = cli("-v", "run", recipe, "seed=6", "--device", "cpu")
    assert "finished at step 2/2" in done.stderr and "finished at step 2/2" not in done.stdout
    assert "INFO tiny on cpu" in done.stderr and "from step 0 of 2" in done.stderr
    assert "INFO" not in cli("run", recipe, "seed=7", "--device", "cpu").stderr


def test_resume_of_a_finished_run_reports_the_same_figures(finished):
    done = cli("resume", finished, "--device", "cpu", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["step"] == 2


def test_resume_with_another_length_names_the_way_to_train_further(finished):
    refused = cli("resume", finished, "train.steps=4")
    assert refused.exit_code == 2 and refused.stdout == ""
    assert f"{finished}/resolved.yaml train.init_from={finished} KEY=VALUE" in refused.stderr
    further = cli(
        "run",
        finished / "resolved.yaml",
        f"train.init_from={finished}",
        "train.steps=1",
        "--out",
        finished.parent.parent / "further",
        "--device",
        "cpu",
    )
    assert further.exit_code == 0, further.output


def test_runs_lists_and_compares(finished):
    listed = cli("runs", finished.parent.parent)
    assert "finished" in listed.stdout and "2/2" in listed.stdout
    (told,) = json.loads(cli("runs", finished, "--json").stdout)
    assert told["name"] == "tiny" and any(name.startswith("hidden_psnr") for name in told["figures"])
    compared = cli("runs", finished, finished).stdout
    assert "hidden_psnr" in compared and "seed 0, data toy_faces" in compared


def test_runs_of_a_folder_that_is_not_there_says_so(recipe):
    done = cli("runs")
    assert done.exit_code == 2 and "runs: there is no such folder" in done.stderr
    Path("runs").mkdir()
    assert cli("runs").exit_code == 0


def test_complete_keeps_what_is_seen_and_writes_the_mask(finished, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 250, (19, 21, 3), dtype=np.uint8)
    pixels[4:9, 5:12] = 255
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    out = tmp_path / "out"
    given = ("complete", finished, tmp_path / "picture.png", "--key-colour", "#ffffff", "--device", "cpu")
    done = cli(*given, "--out", out)
    assert done.exit_code == 0, done.output
    assert "8.8% made" in done.stdout
    made = np.asarray(Image.open(out / "picture.png"))
    hidden = np.asarray(Image.open(out / "picture.mask.png")) > 0
    assert (hidden == (pixels == 255).all(-1)).all() and (made[~hidden] == pixels[~hidden]).all()
    assert cli(*given, "--out", out).exit_code == 2
    (told,) = json.loads(cli(*given, "--dilate", 1, "--out", tmp_path / "more", "--json").stdout)
    assert told["made"] > hidden.mean()
    assert cli(*given, "--around", 2, "--out", tmp_path / "near").exit_code == 0
    near = np.asarray(Image.open(tmp_path / "near/picture.png"))
    assert (near[~hidden] == pixels[~hidden]).all() and (near[hidden] != made[hidden]).any()


INVERTED = [  # whether the run's masks were white where known, what is said, and what becomes of a black mask
    (False, (), "0.0%"),
    (False, ("--invert",), "100.0%"),
    (True, (), "100.0%"),
    (True, ("--no-invert",), "0.0%"),
]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--alpha", "--invert"), "--invert goes with --masks"),
        (("--dilate", "2"), "--dilate grows what --masks, --alpha or --key-colour tells"),
        ((), "exactly one of masks (--masks), alpha (--alpha) and a key colour (--key-colour)"),
        (("--alpha", "--key-colour", "#ffffff"), "exactly one of"),
        (("--alpha", "--tolerance", "3"), "--tolerance goes with --key-colour"),
        (("--key-colour", "white"), "'white' is no colour"),
        (("--key-colour", "#ffffff", "--samples", "2"), "takes no latent"),
        (("--key-colour", "#ffffff", "--around", "0"), "neither a number of pixels, 1 or more, nor `all`"),
        (("--key-colour", "#ffffff", "--checkpoint", "step-9"), "there is no such checkpoint"),
    ],
)
def test_complete_refuses_what_cannot_work(finished, tmp_path, flags, said):
    Image.new("RGB", (16, 16), "white").save(tmp_path / "picture.png")
    done = cli("complete", finished, tmp_path / "picture.png", "--out", tmp_path / "out", *flags)
    assert done.exit_code == 2 and said in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("before", "flags", "made"), INVERTED)
def test_complete_reads_masks_the_way_round_that_the_run_did(
    finished, tmp_path, before, flags, made, monkeypatch
):
    from ambientkit import completion

    monkeypatch.setattr(completion, "_white_is_known", lambda _plan: before)
    Image.new("RGB", (16, 16), "white").save(tmp_path / "picture.png")
    Image.new("L", (16, 16)).save(tmp_path / "mask.png")
    given = (tmp_path / "picture.png", "--masks", tmp_path / "mask.png", "--out", tmp_path / "out")
    done = cli("complete", finished, *given, *flags)
    assert done.exit_code == 0 and f"{made} made" in done.stdout
    assert ("is read so; --no-invert" in done.stderr) == (before and not flags)
    assert ("warning: everything is hidden in" in done.stderr) == (made == "100.0%")


@pytest.fixture
def interruptible(monkeypatch):
    """A shell's background jobs, and what they start, begin with SIGINT ignored; under nohup, SIGHUP."""
    plain = dict.fromkeys((signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1), signal.SIG_DFL)
    wanted = {signal.SIGINT: signal.default_int_handler, **plain}
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    monkeypatch.setattr(signals, "_ends_with_the_terminal", lambda stream: False)  # those of the tests stay
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)],
)
def test_an_interrupted_complete_says_how_far_it_came_and_goes_on(
    finished, tmp_path, monkeypatch, number, code
):
    from ambientkit.completion import TrainedRun

    sound, seeds = TrainedRun.complete, []

    def interrupted(run, *given, seed, **options):
        seeds.append(seed)
        if len(seeds) == 2:
            signal.raise_signal(number)
        return sound(run, *given, seed=seed, **options)

    monkeypatch.setattr(TrainedRun, "complete", interrupted)
    pixels = np.zeros((50, 50, 3), np.uint8)
    pixels[0, 0] = 255
    (tmp_path / "in").mkdir()
    for name in "abc":
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    given = ("complete", finished, tmp_path / "in", "--key-colour", "#ffffff", "--seed", "7")
    given = (*given, "--out", tmp_path / "out")
    done = cli(*given)
    assert done.exit_code == code and seeds == [7, 7]
    assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert "1 of 3 pictures are done; --skip-existing goes on with the others" in done.stderr
    done = cli(*given, "--skip-existing")
    assert done.exit_code == 0, done.output
    told = [line.partition("in/")[2].partition(",")[0] for line in done.stdout.splitlines()]
    assert told == ["a.png: skipped", "b.png: <0.1% made", "c.png: <0.1% made"]


def test_generate_with_a_run_that_completes_is_refused(finished, tmp_path):
    done = cli("generate", finished, "-n", 2, "--out", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 2 and "use `complete`" in done.stderr


def test_generate_writes_so_many_pictures(recipe):
    latent = RECIPE.replace(
        "{kind: glcic, width: 2, dilations: [1, 1, 1, 1], norm: none}", "{kind: dcgan, width: 2}"
    )
    recipe.write_text(latent.replace("metrics: [{kind: hidden_psnr}]\n", "composite: false\n"))
    assert cli("run", recipe, "--device", "cpu").exit_code == 0
    done = cli("generate", "runs/tiny/0001-seed0", "-n", 3, "--out", "made", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert len(list(Path("made").glob("*.png"))) == 3
    again = cli("generate", "runs/tiny/0001-seed0", "-n", 2, "--out", "more", "--device", "cpu", "--json")
    assert len(json.loads(again.stdout)) == 2


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(monkeypatch):
    for stream, quiet, shown in (
        (Terminal(), False, True),
        (Terminal(), True, False),
        (io.StringIO(), False, False),
    ):
        monkeypatch.setattr(sys, "stderr", stream)
        with Shell(quiet).progress() as progress:
            progress("measuring", 0, 2)
            progress("measuring", 2, 2)
        assert ("measuring" in stream.getvalue()) == shown


# Machines ---------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_that_has_seen_enough_is_no_bug():
    """As `head` is."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "ambientkit", "describe", "generator/glcic"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 1 and done.stderr == ""


def test_bench_says_how_long_the_recipe_takes(recipe):
    timed = cli("bench", recipe, "--steps", 2, "--device", "cpu", "--precision", "fp32")
    assert timed.exit_code == 0, timed.output
    assert "pictures/s" in timed.stdout and "(median of 2;" in timed.stdout
    assert "all steps of the recipe: 0.0 min" in timed.stdout and "cpu, fp32" in timed.stdout
    told = json.loads(cli("bench", recipe, "--steps", 2, "--device", "cpu", "--json").stdout)
    assert told["steps"] == 2 and 0 < told["fastest"] <= told["slowest"]


def test_bench_leaves_out_memory_where_the_system_does_not_say_it(recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    timed = cli("bench", recipe, "--steps", 1, "--device", "cpu", "--precision", "fp32")
    assert timed.exit_code == 0, timed.output
    assert "GiB" not in timed.stdout and "min; cpu, fp32" in timed.stdout


def test_export_says_what_the_program_takes(finished, tmp_path):
    done = cli("export", finished, "--out", tmp_path / "completer.pt2")
    assert done.exit_code == 0, done.output
    assert "takes images, hidden; any number of pictures, sides multiples of 4 from 8 up" in done.stdout
    told = json.loads(cli("export", finished, "--out", tmp_path / "other.pt2", "--json").stdout)
    assert told["inputs"] == ["images", "hidden"] and (tmp_path / "other.pt2").exists()


def test_a_recipe_that_is_doubtful_is_run_with_a_warning(recipe):
    shown = cli("run", recipe, "measurement.size=10", "--dry-run", "--device", "cpu")
    assert shown.exit_code == 0, shown.output
    assert "warning" in shown.stderr
