"""Well-known data sets, from local files or through torchvision's downloads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ambientkit import Component, Context, Options, hookimpl

if TYPE_CHECKING:
    from ambientkit import Dataset

AMBIENTKIT_HOOK_API = 1

Share = Annotated[float, Field(gt=0, le=1)]
Rows = Annotated[int, Field(ge=1, le=218)]
Columns = Annotated[int, Field(ge=1, le=178)]


class _LocalOptions(Options):
    """What the data sets have in common."""

    root: Path = Path("data")
    """Where the files lie, or are downloaded to; `~` is the home folder."""
    download: bool = False
    """Fetch the files with torchvision when they are not there."""

    def facts(self) -> frozenset[str]:
        """Clean pictures."""
        return frozenset({"clean"})


class _SplitOptions(_LocalOptions):
    """Data sets that come in two parts."""

    split: Literal["train", "test", "all"] = "train"
    """Which part; `all` is both, training pictures first."""


class CelebaOptions(_LocalOptions):
    """CelebA's 202,599 aligned faces (non-commercial research only), from a folder of its JPEGs.

    `root` is the folder `img_align_celeba`, or one that holds it, or holds `celeba/img_align_celeba`.
    """

    crop: Share | tuple[Rows, Columns] = 0.5
    """Share of the height and of the width, about the centre, that is kept: 0.5 is 109 x 89 of the
    218 x 178 pixels; or [height, width] in pixels, [108, 108] in AmbientGAN. Without data.image_size that
    is the pictures' size."""
    on_bad_image: Literal["fail", "skip"] = "fail"
    """`fail`: refuse, naming the file. `skip`: decode everything once at the start, and leave out and report
    what cannot be read."""


class MnistOptions(_SplitOptions):
    """MNIST's handwritten digits, grey, 28 x 28.

    `root` holds the four `*-ubyte` files, plain or `.gz`, itself or in `MNIST/raw`.
    """


class FashionMnistOptions(_SplitOptions):
    """Fashion-MNIST's articles of clothing, grey, 28 x 28.

    `root` holds the four `*-ubyte` files, plain or `.gz`, itself or in `FashionMNIST/raw`.
    """


class Cifar10Options(_SplitOptions):
    """CIFAR-10's small photographs, RGB, 32 x 32.

    `root` holds the folder `cifar-10-batches-py`.
    """


def _celeba(options: CelebaOptions, context: Context) -> Dataset:
    from .celeba import open_celeba

    root, skip = options.root.expanduser(), options.on_bad_image == "skip"
    return open_celeba(root, options.crop, context.image_size, options.download, skip)


def _mnist(options: MnistOptions, context: Context) -> Dataset:
    from .digits import open_idx

    return open_idx("MNIST", options.root.expanduser(), options.split, context.image_size, options.download)


def _fashion_mnist(options: FashionMnistOptions, context: Context) -> Dataset:
    from .digits import open_idx

    root = options.root.expanduser()
    return open_idx("FashionMNIST", root, options.split, context.image_size, options.download)


def _cifar10(options: Cifar10Options, context: Context) -> Dataset:
    from .cifar import open_cifar10

    return open_cifar10(options.root.expanduser(), options.split, context.image_size, options.download)


@hookimpl
def register_datasets() -> Iterator[Component]:
    """`celeba`, `mnist`, `fashion_mnist` and `cifar10`."""
    yield Component("celeba", CelebaOptions, _celeba)
    yield Component("mnist", MnistOptions, _mnist)
    yield Component("fashion_mnist", FashionMnistOptions, _fashion_mnist)
    yield Component("cifar10", Cifar10Options, _cifar10)
