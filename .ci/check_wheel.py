"""Compare the file list of a wheel with the tree: what is tracked must be in it, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import PurePosixPath

HOMES = {"ambientkit": "ambientkit", "plugins": "ambientkit_plugins", "recipes": "ambientkit_recipes"}


def expected() -> set[str]:
    """Where each tracked file of the packages belongs in the wheel."""
    tracked = subprocess.run(["git", "ls-files", *HOMES], check=True, capture_output=True, text=True).stdout
    paths = map(PurePosixPath, tracked.split())
    return {str(PurePosixPath(HOMES[path.parts[0]], *path.parts[1:])) for path in paths}


def found(wheel: str) -> set[str]:
    """What the wheel holds, its metadata left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def main() -> int:
    """Print the differences; 1 when there are any."""
    tree, wheel = expected(), found(sys.argv[1])
    for name in sorted(tree - wheel):
        print(f"missing in the wheel: {name}")
    for name in sorted(wheel - tree):
        print(f"in the wheel, not in the tree: {name}")
    print(f"{len(tree)} files in the tree, {len(wheel)} in the wheel")
    return int(tree != wheel or not tree)


if __name__ == "__main__":
    sys.exit(main())
