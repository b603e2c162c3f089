"""Faulty sensors: for each check of the contract, some that it catches, and as a rule it alone.

Each breaks one promise of a sound sensor, the way it happens: a forgotten generator, a mask that
multiplies, a declaration that was copied from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import faulty_sensors as sensors
import faulty_uses as uses
from faulty_sensors import SHAPE

from ambientkit import Measurement
from ambientkit.testing import MeasurementCase


@dataclass(frozen=True)
class Fault:
    """A faulty sensor, a piece of what its check must say, and the checks that must fail as well."""

    sensor: Callable[[], Measurement]
    says: str
    also: frozenset[str] = frozenset()
    facts: frozenset[str] | None = None
    needs_gpu: bool = False

    def case(self) -> MeasurementCase:
        """The faulty sensor, ready for the checks."""
        return MeasurementCase(self.sensor(), SHAPE, facts=self.facts)


FAULTS: dict[str, list[Fault]] = {
    "declarations_have_values_that_exist": [
        Fault(sensors.GradientMisspelt, "`gradient` is 'exactly'; it is one of 'exact', 'surrogate', 'none'"),
        Fault(sensors.SymmetryMisspelt, "{'flips'}"),
        Fault(sensors.ExactIsText, "`exact` is '', neither True nor False"),
        Fault(sensors.FillIsNaN, "`fill` is nan"),
    ],
    "a_gradient_that_is_not_exact_has_a_reason": [
        Fault(sensors.SurrogateWithoutReason, "`gradient_reason` is ' '"),
    ],
    "facts_say_what_the_sensor_declares": [
        Fault(
            sensors.Speckled,
            "'exact' is not in facts(), but the sensor says True",
            facts=frozenset({"random", "pixelwise", "flip", "observed"}),
        ),
        Fault(
            sensors.Rows,
            "'reshapes' is not in facts(), but the sensor says True; 'no_gradient' is in facts()",
            facts=frozenset({"random", "no_gradient"}),
        ),
    ],
    "sample_returns_tensors_with_first_axis_n": [
        Fault(sensors.ThetaIsNoDict, "it is a tensor (1, 3, 16, 20) of torch.float32, not a dict of tensors"),
        Fault(sensors.ThetaIsEmpty, "the dict is empty"),
        Fault(sensors.OneNoiseForAll, "its first axis must be n = 2"),
        Fault(sensors.ThetaHoldsANumber, "'scale' is a float, not a tensor"),
    ],
    "the_same_generator_state_gives_the_same_theta": [
        Fault(sensors.OwnGenerator, "two different thetas from generators in the same state"),
    ],
    "theta_comes_from_the_generator": [
        Fault(sensors.FixedSeed, "two draws of 64 from one generator in a row gave the same theta"),
        Fault(sensors.ReseedsTheGenerator, "never seed or restore it"),
        Fault(
            sensors.ForgetsTheGenerator,
            "gave the same theta",
            also=frozenset({"global_random_states_are_left_alone"}),
        ),
    ],
    "theta_differs_within_a_batch": [
        Fault(sensors.OneDensityABatch, "all 64 pictures of a batch got the same theta"),
        Fault(sensors.OneShiftABatch, "got the same shift, and those of the next one another"),
    ],
    "theta_of_a_random_sensor_matters": [
        Fault(sensors.IgnoresTheta, "under 64 thetas gave 64 equal measurements"),
    ],
    "theta_of_a_sensor_that_is_not_random_does_not_matter": [
        Fault(sensors.RandomAfterAll, "measurements of one picture differ by up to 0."),
    ],
    "global_random_states_are_left_alone": [
        Fault(sensors.DrawsForNothing, "`sample` changed the global random state of torch"),
        Fault(sensors.SeedsNumPy, "`measure` changed the global random state of NumPy"),
        Fault(sensors.ShufflesInObserved, "changed the global random state of Python"),
    ],
    "measure_returns_the_measured_shape": [
        Fault(sensors.SaysOneChannel, "but `measured_shape` says (1, 1, 16, 20)"),
        Fault(sensors.ShapeIsAList, "`measured_shape` returned [3, 16, 20]"),
        Fault(sensors.MeasureRaises, "it raised KeyError: 'nois' ("),
    ],
    "measure_keeps_the_dtype_of_the_images": [
        Fault(sensors.Upcasts, "returned torch.float32 for images of torch.bfloat16"),
    ],
    "y_is_finite": [
        Fault(sensors.LogOfBlack, "y holds -inf at picture 0, channel 0, row 0, column 0"),
    ],
    "measure_is_deterministic_given_theta": [
        Fault(sensors.NoiseInMeasure, "for the same images and theta"),
        Fault(sensors.RemembersTheBatch, "for the same images and theta"),
    ],
    "y_depends_on_the_images": [
        Fault(sensors.SeesNothing, "the same y for entirely different pictures"),
    ],
    "no_method_writes_into_its_arguments": [
        Fault(sensors.WritesIntoImages, "`measure` wrote into the images"),
        Fault(sensors.WritesIntoTheta, "`measure` wrote into theta['noise']"),
        Fault(sensors.TakesFromTheta, "`measure` wrote into theta['noise']"),
    ],
    "measuring_leaves_nothing_behind": [
        Fault(sensors.KnowsThePicture, "`known` of one theta changed"),
        Fault(sensors.ObservesWhatItMeasured, "`observed` of one theta changed"),
        Fault(sensors.Afterimage, "measured 0.1 differently once others had been"),
    ],
    "a_pixel_of_y_depends_on_its_own_pixel_alone": [
        Fault(sensors.BlurIsPixelwise, "though only other pixels of x did"),
        Fault(sensors.CentredIsPixelwise, "though only other pixels of x did"),
        Fault(sensors.CropIsPixelwise, "y is (3, 16, 19) and the picture (3, 16, 20)"),
    ],
    "observed_is_a_mask_of_the_picture": [
        Fault(uses.MaskOfFloats, "must be bool and (6, 1, 16, 20) or (6, 3, 16, 20)"),
        Fault(uses.MaskWithoutChannel, "it is a tensor (6, 16, 20) of torch.bool"),
        Fault(uses.ObservesWhatIsCropped, "y is (3, 16, 19) for pictures (3, 16, 20)"),
    ],
    "observed_pixels_are_exact": [
        Fault(uses.RescaledIsExact, "observed values of y differ from x by up to 0.667"),
        Fault(uses.ExactWithoutObserved, "`observed` is None"),
    ],
    "hidden_pixels_hold_the_fill": [
        Fault(uses.OtherFill, "y holds 0.5 at the hidden picture 0, channel 0"),
        Fault(uses.FillWithoutObserved, "`observed` is None"),
    ],
    "hidden_pixels_do_not_leak": [
        Fault(uses.MultipliesTheMask, "when the hidden pixels of x were given NaN"),
        Fault(uses.FaintlyThere, "when the hidden pixels of x were given other values"),
        Fault(uses.FaintlyThereUnderBlur, "when the hidden pixels of x were given other values"),
    ],
    "an_exact_gradient_is_the_derivative": [
        Fault(uses.StraightThroughIsExact, "the difference quotient (float64, step 1e-06) 0;"),
        Fault(uses.RoundingIsExact, "the derivative is 0 everywhere"),
        Fault(uses.DetachedIsExact, "y is not connected to the images"),
        Fault(uses.SinglePrecisionIsExact, "the difference quotient"),
    ],
    "a_surrogate_gradient_is_finite_and_not_zero": [
        Fault(uses.SurrogateIsMissing, "the surrogate gradient is 0 everywhere"),
        Fault(uses.SurrogateIsDetached, "y is not connected to the images"),
        Fault(uses.SurrogateIsNaN, "the surrogate gradient holds NaN or infinity"),
    ],
    "a_sensor_without_gradient_has_none": [
        Fault(uses.GradientAfterAll, "autograd gives one that is not 0"),
    ],
    "known_is_a_dict_of_tensors_with_first_axis_n": [
        Fault(uses.KnownIsATensor, "it is a tensor (6,) of torch.bool, not a dict of tensors"),
        Fault(uses.KnownIsOfOnePicture, "its first axis must be n = 6"),
    ],
    "known_holds_no_nuisance": [
        Fault(uses.KnowsTheNoise, "'noise', a tensor (6, 3, 16, 20) of torch.float32"),
    ],
    "known_shares_no_memory_with_the_sensor": [
        Fault(uses.LendsItsTable, "once what `known` and `sample` had returned was written into"),
    ],
    "a_batch_equals_its_images_one_by_one": [
        Fault(uses.NormalisesTheBatch, "a batch of 6 and its pictures one by one differ"),
        Fault(uses.ObservedOfTheBatch, "`observed` of one picture differs"),
    ],
    "theta_has_one_shape_whatever_is_drawn": [
        Fault(uses.RaggedTheta, "'holes': ((1,), torch.float32)"),
    ],
    "theta_survives_storage_and_transport": [
        Fault(uses.GoesByOrder, "theta that was copied and saved measures up to"),
    ],
    "any_memory_layout_of_the_images_will_do": [
        Fault(uses.Views, "view size is not compatible"),
    ],
    "copies_and_pickles_measure_the_same": [
        Fault(uses.HoldsALambda, "pickle of the sensor fails"),
        Fault(uses.HoldsALock, "copy.deepcopy of the sensor fails: TypeError"),
        Fault(uses.ForgetsWhenCopied, "copy.deepcopy of the sensor measures differently"),
    ],
    "other_sizes_and_channels_work_or_are_refused": [
        Fault(uses.FixedSize, "pictures of (1, 17, 17) (channels, height, width) fail: RuntimeError"),
        Fault(uses.ThreeChannels, "pictures of (1, 17, 17) (channels, height, width) fail: RuntimeError"),
        Fault(uses.RefusesWithoutAWord, "pictures of (4, 20, 16) (channels, height, width) fail: DataError"),
    ],
    "draws_name_the_generators_device": [
        Fault(uses.DrawsOnTheCPU, "`sample` calls torch.randn with a generator but without a device"),
    ],
    "tensors_are_made_on_the_device_of_the_images": [
        Fault(uses.MasksOnTheCPU, "`measure`, given tensors on a GPU, mixes them with tensors on the CPU"),
        Fault(uses.KnownOnTheCPU, "`known`, given tensors on a GPU, returns a tensor on the CPU"),
    ],
    "everything_happens_on_the_gpu": [
        Fault(uses.LooksAtValuesOnTheCPU, "it raised RuntimeError", needs_gpu=True),
    ],
    "every_pixel_is_sometimes_seen": [
        Fault(
            uses.LastRowIsNeverSeen, "35 pixels were hidden in each of 32774 draws: rows 0-15, columns 0-19"
        ),
        Fault(uses.DeadPixel, "first (channel, row, column) = (0, 1, 3)"),
    ],
    "mirroring_keeps_the_law": [
        Fault(uses.LeftIsWorse, "the mean of y at (0, 15, 19) differs"),
        Fault(uses.NoiseGrowsToTheRight, "the mean of the square of y"),
        Fault(uses.DiagonalScratches, "products of diagonal neighbours"),
        Fault(uses.ReportsACorner, "columns of y times known 'left'"),
        Fault(uses.SumsMirrored, "y is (3, 16), not rows of pixels"),
    ],
}
