"""AmbientGAN on MNIST: a generator trained on measurements, and on pictures that were guessed from them.

    python benchmarks/study/digits.py --mnist PATH/TO/mnist --out study

For every sensor three generators with the same networks, batches and steps: `ambient` measures what it makes;
`ignored` takes each measurement for a picture; `undone` inverts each measurement by itself first (holes are
filled by the Laplace equation; projections by least squares between black and white) and takes the result for
a picture. Each makes 2,000 digits, which a classifier scores: exp of the mean KL(p(y|x), p(y)), at most 10
(Salimans et al. 2016, sec. 4). 95 % intervals draw those digits anew with replacement.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from run import HERE, Row, finished, train
from torch import Tensor, nn
from torch.nn import functional

from ambientkit import Context, Engine
from ambientkit.baselines import harmonic_fill
from ambientkit.streams import stream

PICTURES = 20_000  # of MNIST's 60,000, on which every generator is trained
MADE = 2_000
REDRAWN = 1_000
SETTINGS: dict[str, Any] = yaml.safe_load((HERE / "digits.yaml").read_text("utf-8"))


# Pictures ---------------------------------------------------------------------------------------


def prepare(engine: Engine, mnist: Path, out: Path) -> None:
    """Folders of the digits themselves, and of what is taken for digits, for each sensor; once."""
    digits = engine.build("dataset", "mnist", root=mnist, download=False).images(range(PICTURES))
    _save(digits, out / "clean")
    x = digits.float() / 127.5 - 1
    for name, spec in SETTINGS["sensors"].items():
        sensor = built(engine, spec)
        theta = sensor.sample(len(x), (1, 28, 28), stream(0, "digits", name))
        y, observed = sensor.measure(x, theta), sensor.observed(theta, (1, 28, 28))
        if name not in SETTINGS["not_ignored"]:
            _save(_eight_bits(y), out / f"{name}_ignored")
        if name not in SETTINGS["not_undone"]:
            guess = harmonic_fill(y, observed) if observed is not None else _in_parts(sensor, y, theta)
            _save(_eight_bits(guess), out / f"{name}_undone")

    for name, law in SETTINGS["wrong"].items():
        sensor = built(engine, {"kind": name, law["key"]: law["measured"], **law["options"]})
        theta = sensor.sample(len(x), (1, 28, 28), stream(0, "measured", name))
        observed = sensor.observed(theta, (1, 28, 28))
        masks = {} if observed is None else {"observed": observed.numpy()}
        if not (out / f"{name}.npz").exists():
            np.savez(out / f"{name}.npz", y=sensor.measure(x, theta).numpy(), **masks)


def built(engine: Engine, spec: dict[str, Any]) -> Any:
    """The sensor of a recipe's section, for digits."""
    options = {key: value for key, value in spec.items() if key != "kind"}
    return engine.build("measurement", spec["kind"], context=Context((28, 28), (1, 28, 28)), **options)


def _in_parts(sensor: Any, y: Tensor, theta: dict[str, Tensor], size: int = 500) -> Tensor:
    places = [slice(start, start + size) for start in range(0, len(y), size)]
    parts = [({name: value[place] for name, value in theta.items()}, y[place]) for place in places]
    return torch.cat([least_squares(sensor, part, own) for own, part in parts])


def least_squares(sensor: Any, y: Tensor, theta: dict[str, Tensor], steps: int = 40) -> Tensor:
    """x in [-1, 1] that measures like y: projected gradients with momentum (Beck and Teboulle 2009)."""
    x = ahead = torch.zeros(len(y), 1, 28, 28) - 1
    rate = 1 / largest_singular_value(sensor, {name: value[:50] for name, value in theta.items()}) ** 2
    for step in range(steps):
        ahead = ahead.detach().requires_grad_()
        (gradient,) = torch.autograd.grad((sensor.measure(ahead, theta) - y).square().sum() / 2, ahead)
        before, x = x, (ahead.detach() - rate * gradient).clamp(-1, 1)
        ahead = x + step / (step + 3) * (x - before)
    return x


def largest_singular_value(sensor: Any, theta: dict[str, Tensor], steps: int = 20) -> float:
    """Of a batch, by power iteration, and a little more; an offset of the sensor is taken away."""
    v = torch.ones(len(next(iter(theta.values()))), 1, 28, 28)
    offset = sensor.measure(torch.zeros_like(v), theta)
    size = torch.ones(len(v), 1, 1, 1)
    for _ in range(steps):
        v = (v / v.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).requires_grad_()
        forward = sensor.measure(v, theta) - offset
        (back,) = torch.autograd.grad((forward.square() / 2).sum(), v)
        v, size = back, back.flatten(1).norm(dim=1)
    return 1.05 * float(size.max().sqrt())


def _eight_bits(x: Tensor) -> Tensor:
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def _save(pictures: Tensor, folder: Path) -> None:
    if (folder / f"{len(pictures) - 1:05d}.png").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture[0].numpy()).save(folder / f"{number:05d}.png")


# Rows -------------------------------------------------------------------------------------------


def rows(digits: Path, seed: int = 0) -> Iterator[Row]:
    """Every sensor's three generators, where they can be had."""
    for sensor, spec in SETTINGS["sensors"].items():
        critic = SETTINGS["critic"]["vectors" if sensor == "project_theta" else "pictures"]
        yield _row(f"{sensor}_ambient", digits / "clean", spec, critic, seed)
        for how in ("ignored", "undone"):
            if sensor not in SETTINGS[f"not_{how}"]:
                folder = digits / f"{sensor}_{how}"
                pictures = SETTINGS["critic"]["pictures"]
                yield _row(f"{sensor}_{how}", folder, {"kind": "identity"}, pictures, seed)


def wrong_rows(digits: Path, seed: int = 0) -> Iterator[Row]:
    """Generators that are told another sensor than that which measured the data."""
    for kind, law in SETTINGS["wrong"].items():
        for told in law["told"]:
            row = _row(f"{kind}_told_{told}", digits, {}, SETTINGS["critic"]["pictures"], seed)
            masked = "observed: true, " if "fill" in law["options"] else ""
            sensor = {"kind": kind, law["key"]: told, **law["options"]}
            source = f"{{kind: measured_array, {masked}file: '{digits / kind}.npz'}}"
            changes = {change.partition("=")[0]: change for change in row.changes}
            changes["data.source"] = f"data.source={source}"
            changes["measurement"] = f"measurement={json.dumps(sensor)}"
            del changes["data.image_size"]
            yield Row(row.name, row.recipe, tuple(changes.values()), (), seed)


def _row(name: str, pictures: Path, sensor: dict[str, Any], critic: str, seed: int) -> Row:
    name = f"digits_{name}" + (f"_seed{seed}" if seed else "")
    changes = (
        f"name={name}",
        f"seed={seed}",
        f"data.source={{kind: image_folder, root: '{pictures}', channels: 1}}",
        f"measurement={json.dumps(sensor)}",
        "objective={kind: hinge}",
        critic,
        *SETTINGS["game"],
    )
    return Row(name, "ambientgan/mnist_block_pixels", changes, (), seed)


# Scores -----------------------------------------------------------------------------------------


class Classifier(nn.Sequential):
    """Two convolutions and two linear layers: 99 % of MNIST's test digits after four epochs."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(64 * 49, 128), nn.ReLU(), nn.Linear(128, 10)),
        )


def classifier(mnist: Path, file: Path, epochs: int = 4) -> tuple[Classifier, float]:
    """It, and the share of the 10,000 test digits that it tells; trained once."""
    train_set, test_set = (labelled(mnist, which) for which in ("train", "t10k"))
    torch.manual_seed(0)
    network = Classifier()
    if file.exists():
        network.load_state_dict(torch.load(file, weights_only=True))
    else:
        _fit(network, *train_set, epochs)
        torch.save(network.state_dict(), file)
    with torch.no_grad():
        right = torch.cat([network(part).argmax(1) for part in test_set[0].split(500)]) == test_set[1]
    return network, float(right.float().mean())


def labelled(root: Path, which: str) -> tuple[Tensor, Tensor]:
    """Digits (n, 1, 28, 28) in [-1, 1] and their labels, of "train" or "t10k"."""
    pixels, labels = (_idx(root, f"{which}-{part}") for part in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    return pixels[:, None].float() / 127.5 - 1, labels.long()


def _idx(root: Path, name: str) -> Tensor:
    """A file in MNIST's format, compressed or not: four bytes, the last of which is how many sizes follow."""
    plain, packed = root / name, root / f"{name}.gz"
    content = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
    sizes = np.frombuffer(content, ">u4", content[3], offset=4).astype(int)
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).copy()).view(*sizes)


def _fit(network: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> None:
    steps = epochs * (len(images) // 100)
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        if step % (len(images) // 100) == 0:
            order = torch.randperm(len(images), generator=generator)
        batch = order[step % (len(images) // 100) * 100 :][:100]
        optimizer.zero_grad()
        functional.cross_entropy(network(images[batch]), labels[batch]).backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def score(network: nn.Module, pictures: Tensor) -> list[float]:
    """[score, low, high] of pictures (n, 1, 28, 28) in [-1, 1]."""
    told = torch.cat([network(part).log_softmax(1) for part in pictures.split(500)]).double()
    generator = stream(0, "score")
    picks = [torch.randint(len(told), (len(told),), generator=generator) for _ in range(REDRAWN)]
    again = torch.tensor([_score(told[pick]) for pick in picks])
    return [_score(told), *again.quantile(torch.tensor([0.025, 0.975])).tolist()]


def _score(told: Tensor) -> float:
    mean = told.exp().mean(0).log()
    return float((told.exp() * (told - mean)).sum(1).mean().exp())


def main() -> int:
    """Prepare and train what is not done yet, score what is; write digits.json; the number that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", metavar="ROW")
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each lane")
    given = parser.parse_args()
    engine = Engine(discover=False)
    digits = given.out / "digits"
    prepare(engine, given.mnist, digits)
    every = [*rows(digits, given.seed), *wrong_rows(digits, given.seed)]
    chosen = [row for row in every if not given.only or row.name in given.only]
    with ThreadPoolExecutor(given.lanes) as lanes:
        failed = list(lanes.map(lambda row: train(row, given.out, given.threads), chosen))
    network, right = classifier(given.mnist, given.out / "classifier.pt")
    test, _ = labelled(given.mnist, "t10k")
    record = given.out / "digits.json"
    before = json.loads(record.read_text("utf-8"))["scores"] if record.exists() else {}
    scores = {**before, "test digits": score(network, test[:MADE])}
    for row in chosen:
        run = finished(row.folder(given.out))
        if run:
            scores[row.name] = score(network, engine.open(run).generate(MADE, seed=0))
    done = {"classifier": right, "pictures": MADE, "scores": scores}
    record.write_text(json.dumps(done, indent=2), "utf-8")
    print(json.dumps(done, indent=2))
    return sum(code != 0 for code in failed)


if __name__ == "__main__":
    sys.exit(main())
