"""What the API is asked for by mistake: each is told in a line, before anything begins."""

from __future__ import annotations

import os
import threading

import engine_fakes as fakes
import numpy as np
import pytest
import torch

from ambientkit import Context, Engine, Measured
from ambientkit.asked import alone_in_process
from ambientkit.data_check import images_of, measured_of, require_sound
from ambientkit.errors import AmbientkitError, DataError, InputError
from ambientkit.evaluating.wishes import Wishes

CPU = {"device": "cpu", "precision": "fp32"}


class Watch:
    """A callback that is asked nothing."""


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: Engine(discover="lsited"), "discover is 'lsited'; give True, False or 'listed'"),
        (lambda: Engine(plugins=Watch()), "give a list of modules or objects"),
        (lambda: Engine(files="haze.py"), r"give a list of places, such as \['haze.py'\]"),
        (
            lambda: Engine(discover=False).load(None),
            "a recipe is a path, a name, a mapping or a Plan, not a NoneType",
        ),
        (lambda: Engine(discover=False).open(None), "a run is given by its folder"),
        (lambda: Engine(discover=False).evaluate(3), "a run is given by its folder"),
        (
            lambda: Engine(discover=False).evaluate("a", against="b"),
            r"against is 'b'; give a list of run folders",
        ),
        (lambda: Engine(discover=False).evaluate("a", metrics=[{"kind": "seam"}]), "give names alone"),
        (lambda: Engine(discover=False).evaluate("a", wishes={"baselines": True}), r"give Wishes\(...\)"),
    ],
)
def test_arguments_that_cannot_be_meant_are_told(call, told):
    with pytest.raises(InputError, match=told):
        call()


@pytest.mark.parametrize(
    ("callbacks", "told"), [(Watch(), "give a list"), ([Watch], r"is a class; give Watch\(\)")]
)
def test_callbacks_that_are_none_are_told_before_the_run(engine, tiny, tmp_path, callbacks, told):
    with pytest.raises(AmbientkitError, match=told):
        engine.run(tiny(), out=tmp_path, callbacks=callbacks, **CPU)
    assert not list(tmp_path.glob("tiny/0*"))


def test_what_can_be_meant_is_taken(engine, tiny, tmp_path):
    folder = engine.run(tiny(), out=tmp_path, device=torch.device("cpu"), precision="fp32").folder
    assert engine.open(folder, checkpoint=2, device=torch.device("cpu")).folder == folder
    wishes = Wishes(bootstrap=0)
    assert engine.evaluate(folder, metrics=("hidden_psnr",), wishes=wishes, checkpoint=2, device="cpu").rows


def test_a_second_thread_does_not_train(engine, tiny, tmp_path):
    """They would share random states and computed weights; a callback's own run, in the same thread, may."""
    raised: list[BaseException] = []

    def train() -> None:
        try:
            engine.run(tiny(), out=tmp_path, **CPU)
        except InputError as error:
            raised.append(error)

    with alone_in_process():
        thread = threading.Thread(target=train)
        thread.start()
        thread.join(60)
        engine.run(tiny(), out=tmp_path, **CPU)
    assert "by another thread" in str(raised[0]) and len(list(tmp_path.glob("tiny/0*"))) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork there")
def test_a_forked_child_may_train_while_its_parent_does():
    with alone_in_process():
        read, write = os.pipe()
        thread = threading.Thread(target=_fork_and_tell, args=(write,))
        thread.start()
        thread.join(60)
        assert os.read(read, 2) == b"ok"


def _fork_and_tell(write: int) -> None:
    """A child of a thread that does not hold the lock."""
    child = os.fork()
    if child == 0:
        try:
            with alone_in_process():
                os.write(write, b"ok")
        except InputError:
            os.write(write, b"no")
        os._exit(0)
    os.waitpid(child, 0)


# Data sets --------------------------------------------------------------------------------------


class Given:
    """A data set whose parts are given."""

    arrives_measured, value_range, fingerprint, image_shape = False, (-1.0, 1.0), "f", (1, 4, 6)

    def __init__(self, **parts):
        self.keys, self.given, self.length = ["a", "b"], torch.zeros(1, 1, 4, 6), None
        vars(self).update(parts)

    def __len__(self):
        return len(self.keys) if self.length is None else self.length

    def images(self, indices):
        return self.given

    measured = images


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"keys": []}, "holds no pictures"),
        ({"keys": ["a", "a"]}, "'a' comes twice"),
        ({"keys": [1, 2]}, "1 is no text"),
        ({"length": 5}, "its length is 5, but it has 2 keys"),
        ({"fingerprint": None}, "no `fingerprint`"),
        ({"image_shape": (4, 6)}, "give channels, height and width"),
        ({"value_range": (1.0, 1.0)}, "the lowest and the highest"),
        ({"value_range": ()}, "the lowest and the highest"),
        ({"given": np.zeros((1, 1, 4, 6))}, r"gave a ndarray, not a tensor \(1, 1, 4, 6\)"),
        ({"given": torch.zeros(1, 1, 4, 5)}, r"gave a tensor \(1, 1, 4, 5\), not a tensor \(1, 1, 4, 6\)"),
        ({"given": torch.zeros(1, 1, 4, 6, dtype=torch.int64)}, "gave torch.int64; return uint8"),
        ({"given": torch.full((1, 1, 4, 6), 255.0)}, "reach from 255 to 255, and `value_range` says -1 to 1"),
        ({"arrives_measured": True}, "`measured` gave a Tensor; return ambientkit.Measured"),
        ({"arrives_measured": True, "given": Measured(torch.zeros(3, 2))}, r"1 samples have a y of \(3, 2\)"),
        ({"arrives_measured": True, "given": Measured(torch.zeros(1, 2).int())}, "gave torch.int32"),
    ],
)
def test_a_data_set_that_is_not_what_it_says_is_told(parts, told):
    with pytest.raises(DataError, match=f"^data set Given: .*{told}"):
        require_sound(Given(**parts), None)


def test_a_sound_data_set_is_taken_as_it_is():
    whole, arrived = Given(), Given(arrives_measured=True, given=Measured(torch.zeros(1, 2)))
    require_sound(whole, (4, 6))
    require_sound(arrived, None)
    assert images_of(whole, [0]) is whole.given and measured_of(arrived, [0]) is arrived.given


def test_a_size_that_a_data_set_does_not_make_is_told():
    with pytest.raises(DataError, match=r"pictures are 4x6, and data.image_size asks for 8x8"):
        require_sound(Given(), (8, 8))


def test_a_fault_deep_in_a_data_set_is_found_when_it_is_read(engine, tmp_path, monkeypatch):
    """Of the first sample nothing was wrong."""
    images = fakes.Numbers.images

    def brighter(self, indices):
        return images(self, indices) + 200.0 * torch.tensor([index > 3 for index in indices]).view(
            -1, 1, 1, 1
        )

    monkeypatch.setattr(fakes.Numbers, "images", brighter)
    with pytest.raises(DataError, match="`value_range` says 0 to 1"):
        fakes.make_ready(engine, fakes.noisy(), tmp_path)


def test_a_size_is_refused_where_pictures_keep_theirs(engine):
    with pytest.raises(DataError, match="to which it does not bring them"):
        engine.inspect(fakes.noisy(data={"image_size": [8, 8]}))
    assert engine.build("dataset", "fakes/numbers", context=Context(image_size=(8, 8))).image_shape == (
        1,
        16,
        16,
    )
