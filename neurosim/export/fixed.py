"""A chip in whole numbers: weights, thresholds, leak and projection at chosen word widths.

    acc = sum of the weights of active rows
    I   = acc, or the converter's code: (acc m + 2^(s-1)) >> s, clipped
    v   = ((v leak + 2^(s-1)) >> s) + (I << F);   a neuron fires where v > threshold

F bits of the membrane stand behind the point. Here floats become integers; `golden` runs them.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from neurosim.config import StrictModel
from neurosim.errors import ExperimentError, OutOfRangeError
from neurosim.export.projection import IntegerLayer, Projection
from neurosim.reservoir import Liquid, Synapses, Weights
from neurosim.reservoir.states import Readings

Ints = npt.NDArray[np.int64]

WORD = 63  # of an int64, in which the golden model computes, without its sign
MAX_STATE = 1 << 22  # size of the table of what states enter the projection as


class FixedConfig(StrictModel):
    """Word widths of the whole-number chip.

    Attributes:
        fraction_bits: Bits of the membrane behind the point; the point stands at one unit of the weights, or
            of the converter's codes.
        leak_bits: Bits of the multiplier that the membrane leaks by; beta is rounded to a multiple of
            2^-leak_bits.
        membrane_bits: Word of the membrane, sign included, in which it saturates; None: so wide that it never
            does.
        state_bits: Bits behind the point of what a spike counts, where that is no whole number.
    """

    fraction_bits: int = Field(8, ge=0, le=24)
    leak_bits: int = Field(16, ge=1, le=24)
    membrane_bits: int | None = Field(None, ge=4, le=48)
    state_bits: int = Field(8, ge=0, le=16)


@dataclass(frozen=True, eq=False)
class Table:
    """Weights of one side as runs: a driving row adds ``weight[start + k]`` to neuron ``post + k``.

    Attributes:
        ptr: (n_rows + 1,), runs ``ptr[i]:ptr[i + 1]`` belong to row i.
        post, start, length: (n_runs,), first neuron, place of its weight, number of neurons.
        weight: (n_weights,) [lsb].
    """

    ptr: Ints
    post: Ints
    start: Ints
    length: Ints
    weight: Ints


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A chip in whole numbers.

    Attributes:
        inputs, recurrent: Weights; a side without synapses has empty tables.
        threshold: (n_neurons,) [2^-fraction_bits of a unit]; the membrane must exceed it.
        fraction_bits: Bits of the membrane behind the point.
        leak, synapse_leak: Multipliers of membrane and synaptic current, over 2^leak_bits; 0 in place of the
            second: a current lasts one step.
        leak_bits: Shift behind these products.
        adc_multiplier, adc_bits, adc_max: Factor and shift that make a sum a code, and the largest code; 0
            where the converter is ideal.
        membrane_bits: Word of the membrane and the synaptic current, sign included.
        sum_bits: Word that holds every sum of weights, sign included.
        subtract: Reset by subtraction of the threshold instead of to zero.
        n_refractory: Steps in which a neuron is frozen after a spike.
        segment, step_weight: (n_steps,), segment of a step and what a spike in it counts.
        feature: (n_neurons,), state that a neuron's spikes count into.
        n_segments, n_features: Sizes of the states.
        enters: (largest state + 1,), what a state enters the projection as; empty: as it is.
        layers: The projection; empty: none.
        codes: (n_answers,), class of every answer.
        left_out: What the chip has and this has not.
        beta, alpha: What the two leaks stand for.
        unit: What one unit of current and membrane, before the point, is in the chip's own weights.
    """

    inputs: Table
    recurrent: Table
    threshold: Ints
    fraction_bits: int
    leak: int
    synapse_leak: int
    leak_bits: int
    adc_multiplier: int
    adc_bits: int
    adc_max: int
    membrane_bits: int
    sum_bits: int
    subtract: bool
    n_refractory: int
    segment: Ints
    step_weight: Ints
    feature: Ints
    n_segments: int
    n_features: int
    enters: Ints
    layers: tuple[IntegerLayer, ...]
    codes: Ints
    left_out: tuple[str, ...]
    beta: float
    alpha: float
    unit: float

    @property
    def n_inputs(self) -> int:
        """Channels."""
        return len(self.inputs.ptr) - 1

    @property
    def n_neurons(self) -> int:
        """Neurons."""
        return len(self.threshold)

    @property
    def n_states(self) -> int:
        """States that the projection sees."""
        return self.n_segments * self.n_features

    @property
    def state_max(self) -> int:
        """Largest value that a state can have."""
        per_segment = np.bincount(self.segment, self.step_weight).max()
        return int(per_segment * np.bincount(self.feature).max())


def fix(
    liquid: Liquid,
    projection: Projection | None,
    readings: Readings,
    *,
    max_count: int,
    config: FixedConfig | None = None,
) -> FixedPoint:
    """The chip in whole numbers.

    Args:
        liquid: Liquid with integer weights, after homeostasis and calibration.
        projection: Trained projection, of which the integers are taken, or None.
        readings: How spikes add up to states, for the recordings' number of steps.
        max_count: Largest number of times one channel stands in one step.
        config: Word widths.

    Raises:
        ExperimentError: If the weights are floats.
        OutOfRangeError: If a word does not fit into 64 bits.
    """
    config, weights = config or FixedConfig(), liquid.weights
    if weights.q_in.dtype.kind != "i":
        raise ExperimentError(
            f"reservoir.weights = '{liquid.config.weights}': a chip in whole numbers needs 'int8' or 'int16'"
        )
    largest = _largest_sum(weights, max_count)
    sum_bits = largest.bit_length() + 1
    adc = _converter(liquid, sum_bits)
    unit = liquid.adc_step or 1.0
    leak, synapse_leak = (round(share * 2**config.leak_bits) for share in (liquid.beta, liquid.alpha))
    peak = _peak(liquid, adc[2] or largest, len(readings.segment)) << config.fraction_bits
    membrane_bits = config.membrane_bits or peak.bit_length() + 2
    _fits("the leak's product", membrane_bits + config.leak_bits + 1)
    threshold = np.floor(liquid.threshold.astype(np.float64) / unit * 2.0**config.fraction_bits)
    highest = 2 ** (membrane_bits - 1) - 1  # no membrane exceeds it
    step_weight, state_unit = _step_weights(readings, config)
    fixed = FixedPoint(
        inputs=_table(weights, weights.wiring.inputs, weights.q_in, None),
        recurrent=_table(weights, weights.wiring.recurrent, weights.q_rec, weights.rec_sign),
        threshold=np.array([min(int(level), highest) for level in threshold], np.int64),
        fraction_bits=config.fraction_bits,
        leak=leak,
        synapse_leak=synapse_leak,
        leak_bits=config.leak_bits,
        adc_multiplier=adc[0],
        adc_bits=adc[1],
        adc_max=adc[2],
        membrane_bits=membrane_bits,
        sum_bits=sum_bits,
        subtract=liquid.config.reset == "subtract",
        n_refractory=liquid.n_refractory,
        segment=readings.segment.astype(np.int64),
        step_weight=step_weight,
        feature=readings.feature.astype(np.int64),
        n_segments=readings.n_segments,
        n_features=readings.n_features,
        enters=np.empty(0, np.int64),
        layers=(),
        codes=np.empty(0, np.int64),
        left_out=_left_out(liquid),
        beta=liquid.beta,
        alpha=liquid.alpha,
        unit=unit * weights.lsb,
    )
    return fixed if projection is None else _projected(fixed, projection, state_unit)


def _table(
    weights: Weights, side: Synapses | None, q: npt.NDArray[Any], sign: npt.NDArray[np.int8] | None
) -> Table:
    """Weights of one side; where Dale's law gives every synapse a sign, each has a weight of its own."""
    if side is None:
        none = np.empty(0, np.int64)
        return Table(np.zeros(weights.wiring.n_neurons + 1, np.int64), none, none, none, none)
    if sign is not None:
        order = np.lexsort((side.post, side.pre))
        q = np.abs(q[side.pair].astype(np.int64))[order] * sign[order]
        side = Synapses(side.n_pre, side.pre[order], side.post[order], np.arange(len(order), dtype=np.int32))
    ptr, post, start, length = (column.astype(np.int64) for column in side.runs)
    return Table(ptr, post, start, length, q.astype(np.int64))


def _largest_sum(weights: Weights, max_count: int) -> int:
    """Largest sum of weights that a neuron can be given in a step, of either sign."""

    def largest(side: Synapses | None, q: npt.NDArray[Any]) -> Ints:
        total = np.zeros(weights.wiring.n_neurons, np.int64)
        if side is not None:
            np.add.at(total, side.post, np.abs(q[side.pair].astype(np.int64)))
        return total

    wiring = weights.wiring
    both = largest(wiring.inputs, weights.q_in) * max_count + largest(wiring.recurrent, weights.q_rec)
    return int(both.max())


def _converter(liquid: Liquid, sum_bits: int) -> tuple[int, int, int]:
    """Multiplier, shift and largest code; the product is within 2^-8 of a code."""
    if not liquid.adc_step:
        return 0, 0, 0
    shift = sum_bits + 8
    multiplier = max(1, round(2.0**shift / liquid.adc_step))
    _fits("the converter's product", sum_bits + multiplier.bit_length() + 1)
    return multiplier, shift, round(liquid.adc_max / liquid.adc_step)


def _peak(liquid: Liquid, current: int, n_steps: int) -> int:
    """Bound of membrane and synaptic current, before the point: a geometric series, or no leak at all."""
    bound = current + 1
    for share in (liquid.alpha, liquid.beta):
        bound = int(bound / max(1 - share, 1 / n_steps)) + n_steps + 1
    return bound


def _fits(what: str, bits: int) -> None:
    if bits > WORD:
        raise OutOfRangeError(
            f"{what} needs {bits} bits, more than {WORD}: lower fraction_bits or leak_bits, or "
            "take int8 weights"
        )


def _step_weights(readings: Readings, config: FixedConfig) -> tuple[Ints, float]:
    """What a spike counts in every step, and the state that one unit of it is."""
    weight = readings.step_weight.astype(np.float64)
    if len(set(weight)) == 1:
        return np.ones(len(weight), np.int64), float(weight[0])
    unit = 2.0**-config.state_bits
    return np.rint(weight / unit).astype(np.int64), unit


def _left_out(liquid: Liquid) -> tuple[str, ...]:
    """What the liquid has and no whole number here stands for."""
    effects = {
        "white read noise of the cells": liquid.weights.variance_unit > 0,
        "gain, offset and nonlinearity of the converters": liquid.adc_errors is not None,
    }
    return tuple(effect for effect, there in effects.items() if there)


def _projected(fixed: FixedPoint, projection: Projection, state_unit: float) -> FixedPoint:
    """With the projection, and a table of what states enter it as unless they do as they are."""
    integer, largest = projection.integer, fixed.state_max
    enters = np.empty(0, np.int64)
    if integer.root or integer.unit != state_unit:
        if largest >= MAX_STATE:
            raise OutOfRangeError(
                f"a state may reach {largest} units, and the table before the projection has {MAX_STATE} "
                "entries: lower state_bits, n_steps or states.pool"
            )
        enters = integer.inputs(np.arange(largest + 1) * state_unit)
        largest = int(enters.max())
    for layer in integer.layers:
        bound = int(
            (np.abs(layer.weight).astype(np.float64).sum(axis=0) * largest + np.abs(layer.bias)).max()
        )
        _fits("a sum of the projection", bound.bit_length() + 1)
        largest = bound >> layer.shift
    return replace(fixed, enters=enters, layers=integer.layers, codes=projection.codes)
