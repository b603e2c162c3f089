"""What stays fast: neither `import ambientkit` nor the verbs that only read and list may import torch."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import ambientkit

RECIPE = """
recipe: 1
name: tiny
data: {source: {kind: toy_faces}, image_size: [16, 16]}
measurement: {kind: block_patch, size: 6}
generator: {kind: glcic, width: 2, norm: none}
discriminator: {kind: dcgan, width: 2, norm: none}
objective: {kind: hinge}
train: {steps: 2, batch_size: 4}
"""

# Runs verbs one after the other as the console script does, and says after each what it imported.
WATCHED = """
import contextlib, io, json, sys
import ambientkit
from ambientkit.cli import main
told = {}
for line in sys.argv[1:]:
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            main(line.split(), prog_name="ambientkit")
        except SystemExit as end:
            code = end.code
    heavy = sorted({"torch", "torchvision", "cv2", "skimage"}.intersection(sys.modules))
    told[line] = [code, heavy, output.getvalue()]
print(json.dumps(told))
"""

LIGHT = {
    "--help": "Usage: ambientkit",
    "run --help": "--dry-run",
    "plugins": "measurement/block_patch",
    "describe generator/glcic": "dilations",
    "validate tiny.yaml": "tiny.yaml: valid",
    "show tiny.yaml": "batch_size: 4",
    "schema": "$defs",
    "cp tiny.yaml copy.yaml": "copied",
    "runs .": "status",
    "new-plugin fog": "ambientkit-fog",
    "check-plugin --help": "--corners",
}
HEAVY = "complete no_run picture.png --alpha"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, list[str], str]]:
    """What each verb returned, imported and printed, in one fresh process; the heavy one last."""
    folder: Path = tmp_path_factory.mktemp("imports")
    (folder / "tiny.yaml").write_text(RECIPE)
    command = [sys.executable, "-c", WATCHED, *LIGHT, HEAVY]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("verb", LIGHT)
def test_verbs_that_only_read_import_no_torch(told, verb):
    code, heavy, output = told[verb]
    assert (code, heavy) == (0, []), output
    assert LIGHT[verb] in output


def test_the_watch_sees_torch_where_it_is_imported(told):
    code, heavy, _ = told[HEAVY]
    assert code == 2 and "torch" in heavy


def test_public_names_are_sorted_and_lead_where_they_say():
    assert len(ambientkit.__all__) >= 15
    assert list(ambientkit.__all__) == sorted(ambientkit.__all__) == dir(ambientkit)
    for name in ambientkit.__all__:
        assert getattr(ambientkit, name) is getattr(
            import_module(f"ambientkit.{ambientkit._HOMES[name]}"), name
        )


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Engin'"):
        _ = ambientkit.Engin
