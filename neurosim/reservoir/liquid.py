"""The liquid: wiring plus the weights of one chip, as integers times one scale."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.linalg import eigs

from neurosim import rng
from neurosim.array import Adc, ColumnErrors
from neurosim.array.adc import S_PEAK
from neurosim.errors import ExperimentError, ShapeError
from neurosim.reservoir.config import RECURRENT_KEYS, ReservoirConfig
from neurosim.reservoir.kernel import Neurons
from neurosim.reservoir.wiring import Synapses, Wiring

Float = npt.NDArray[np.float32]

VARIANCE_LEVELS = 255
HEAD_ROOM = 1.25  # for slow noise, which moves weights after the scale is chosen
MAX_REFRACTORY = 255  # the kernel counts steps in a byte
# Up to so many neurons a second finds all eigenvalues; beyond, the largest is iterated to 1e-3.
DENSE_EIGENVALUES = 1000


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of one chip as it is read at one moment.

    The weight of a synapse is ``q[pair] * sign[synapse] * lsb`` with q an integer (int8 or int16), so
    that a sum of weights is exact in any order.

    Attributes:
        wiring: Connections.
        scaling: Weight of one siemens on the input and on the recurrent rows [1/S].
        lsb: Weight of one unit.
        q_in, q_rec: (n_pairs,) integer (or float32) weights of the crossbar's pairs at either scaling; a
            pair is used on one side only.
        rec_sign: int8 (n_synapses,), forced signs of the recurrent synapses (Dale's law), or None.
        variance: uint8 (n_pairs,), white read-noise variance [variance_unit]; empty without noise.
        variance_unit: One unit of variance [lsb^2].
    """

    wiring: Wiring
    scaling: tuple[float, float]
    lsb: float
    q_in: npt.NDArray[Any]
    q_rec: npt.NDArray[Any]
    rec_sign: npt.NDArray[np.int8] | None
    variance: npt.NDArray[np.uint8]
    variance_unit: float

    def reread(self, dg: Float) -> Self:
        """The same chip at another moment: ``dg`` is G+ - G- [S], float32 (rows, columns)."""
        q_in, q_rec = _quantise(dg, self.scaling, self.lsb, self.q_in.dtype)
        return replace(self, q_in=q_in, q_rec=q_rec)

    @cached_property
    def signed(self) -> npt.NDArray[Any]:
        """``q_rec`` with the forced signs; every recurrent synapse has a pair of its own."""
        if self.rec_sign is None or self.wiring.recurrent is None:
            return self.q_rec
        q, pair = self.q_rec.copy(), self.wiring.recurrent.pair
        q[pair] = np.abs(q[pair]) * self.rec_sign
        return q

    @cached_property
    def matrices(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Dense input (n_channels, n_neurons) and recurrent (n_neurons, n_neurons) weights [lsb]."""
        return self._matrices(self.q_in, self.signed)

    @cached_property
    def variances(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """White read-noise variances [variance_unit] of the two matrices."""
        return self._matrices(self.variance, self.variance)

    def _matrices(
        self, inputs: npt.NDArray[Any], recurrent: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        n, side = self.wiring.n_neurons, self.wiring.recurrent
        zero = np.zeros((n, n), recurrent.dtype)
        return self.wiring.inputs.matrix(inputs, n), zero if side is None else side.matrix(recurrent, n)

    def _largest_sum(self, values: npt.NDArray[Any], side: Synapses | None) -> int:
        """Largest sum of absolute values of any neuron."""
        if side is None or not len(values):
            return 0
        return int(np.bincount(side.post, np.abs(values[side.pair].astype(np.float64))).max())

    @cached_property
    def _largest_sums(self) -> tuple[int, int]:
        """Of the input and of the recurrent weights [lsb]."""
        inputs, recurrent = self.wiring.inputs, self.wiring.recurrent
        return self._largest_sum(self.q_in, inputs), self._largest_sum(self.q_rec, recurrent)

    @cached_property
    def _largest_variances(self) -> tuple[int, int]:
        """Of the variances on the input and on the recurrent side [variance_unit]."""
        inputs, recurrent = self.wiring.inputs, self.wiring.recurrent
        return self._largest_sum(self.variance, inputs), self._largest_sum(self.variance, recurrent)

    def sum_dtype(self, max_count: int) -> np.dtype[Any]:
        """Narrowest type in which no sum overflows; a channel counts at most ``max_count`` times a step."""
        if self.q_in.dtype.kind == "f":
            return self.q_in.dtype
        inputs, recurrent = self._largest_sums
        narrowest = np.int16 if self.q_in.dtype == np.int8 else np.int32
        return np.promote_types(narrowest, np.min_scalar_type(-(inputs * max_count + recurrent) - 1))

    def variance_dtype(self, max_count: int) -> np.dtype[Any]:
        """The same for sums of variances, where the narrowest is uint16."""
        inputs, recurrent = self._largest_variances
        return np.promote_types(np.uint16, np.min_scalar_type(inputs * max_count + recurrent))


@dataclass(frozen=True, eq=False)
class Liquid:
    """A reservoir ready to run, for any engine; membranes are kept in units of the weights' lsb.

    Attributes:
        weights: Connections and weights.
        config: The config it was built from.
        dt: Time step [s].
        threshold: float32 (n_neurons,) [lsb].
        adc_step, adc_max: Converter step and full scale [lsb]; 0: ideal.
        adc_errors: Errors of the converter of every neuron's column, or None.
    """

    weights: Weights
    config: ReservoirConfig
    dt: float
    threshold: Float
    adc_step: float
    adc_max: float
    adc_errors: ColumnErrors | None = None

    @property
    def wiring(self) -> Wiring:
        """Connections."""
        return self.weights.wiring

    @property
    def adc_full_scale(self) -> float:
        """Converter's full scale as a G+ - G- [S]; 0: ideal."""
        w = self.weights
        return self.adc_max * w.lsb / (max(w.scaling) if w.wiring.recurrent is not None else w.scaling[0])

    @property
    def beta(self) -> float:
        """Share of the membrane potential left after one step."""
        c = self.config
        return c.beta if c.beta is not None else float(np.exp(-self.dt / (c.tau_mem or np.inf)))

    @property
    def alpha(self) -> float:
        """Share of the synaptic current left after one step; 0 without ``tau_syn``."""
        return float(np.exp(-self.dt / self.config.tau_syn)) if self.config.tau_syn else 0.0

    @property
    def n_refractory(self) -> int:
        """Steps in which a neuron is frozen after a spike."""
        return round(self.config.t_refractory / self.dt)

    def with_thresholds(self, threshold: Float) -> Self:
        """The same liquid with other thresholds [lsb], float32 (n_neurons,)."""
        return replace(self, threshold=threshold.astype(np.float32))

    def with_converter(self, bits: int, full_scale: float) -> Self:
        """The same liquid with converters of this full scale [lsb]."""
        return replace(self, adc_step=Adc(bits, full_scale).step, adc_max=full_scale)

    def reread(self, dg: Float) -> Self:
        """The same liquid with its crossbar read at another moment (see ``Weights.reread``)."""
        return replace(self, weights=self.weights.reread(dg))

    def with_room(self, dg: Float) -> Self:
        """The same liquid, in a larger unit if ``dg`` (G+ - G- [S]) would overflow its weights' integers."""
        w = self.weights
        if w.q_in.dtype.kind == "f":
            return self
        fill = float(_largest(dg, w.wiring, w.scaling)) / (w.lsb * np.iinfo(w.q_in.dtype).max)
        if fill <= 1:
            return self
        grow = HEAD_ROOM * fill
        return replace(
            self,
            weights=replace(w, lsb=w.lsb * grow),
            threshold=(self.threshold / grow).astype(np.float32),
            adc_step=self.adc_step / grow,
            adc_max=self.adc_max / grow,
        )

    def neurons(self) -> Neurons:
        """Membrane constants for the kernel."""
        errors, none, step = self.adc_errors, np.empty(0, np.float32), np.float32(self.adc_step)
        bends = errors is not None and step > 0
        return Neurons(
            self.threshold,
            np.float32(self.beta),
            np.float32(self.alpha),
            self.config.reset == "subtract",
            self.n_refractory,
            step,
            np.float32(self.adc_max),
            1 + errors.gain if errors and bends else none,
            step * errors.offset if errors and bends else none,
            step * S_PEAK * errors.inl if errors and bends else none,
            np.float32(self.weights.variance_unit),
        )


def build_liquid(
    config: ReservoirConfig,
    wiring: Wiring,
    dg: Float,
    *,
    dt: float,
    seed: int,
    chip: int = 0,
    white_variance: Float | None = None,
    adc_step: float = 0.0,
    adc_full_scale: float = 0.0,
    adc_errors: ColumnErrors | None = None,
    like: Liquid | None = None,
) -> Liquid:
    """Give a wiring the weights of a crossbar.

    Args:
        config: The liquid's config.
        wiring: Connections.
        dg: G+ - G- of every pair [S], float32 ``wiring.shape``.
        dt: Time step [s].
        seed: Seed of the experiment (stream ``chip<k>/reservoir/sign`` draws which neurons inhibit).
        chip: Device instance.
        white_variance: Variance of the white read noise of every pair [S^2]; None: noiseless.
        adc_step, adc_full_scale: Converter's step and full scale, as the difference of conductance [S] that
            gives that current at the read voltage; 0: ideal. Rows with the larger of the two scalings are
            driven at the read voltage.
        adc_errors: Errors of the converters of the crossbar's columns.
        like: The same chip at another age, whose scalings, unit, converters and thresholds are taken over.

    Raises:
        ShapeError: If ``dg`` does not have the wiring's shape.
        ExperimentError: If recurrent weights are asked for where there are none, or a spectral radius of
            weights that have none, or the refractory period is longer than the kernel counts.

    Assumes: one converter sees the sum over all rows, also where ``tile`` cuts columns into row groups.
    Source: choice; the groups' own conversions are counted (``count_operations``) but not rounded apart.
    """
    if dg.shape != wiring.shape:
        raise ShapeError(
            f"crossbar of shape {dg.shape} given, the wiring needs {wiring.shape}; build it with wiring.shape"
        )
    if config.t_refractory > MAX_REFRACTORY * dt:
        raise ExperimentError(
            f"reservoir.t_refractory (={config.t_refractory:g} s) is longer than {MAX_REFRACTORY} steps of "
            f"{dt:g} s; lower it"
        )
    if 0 < config.t_refractory < dt / 2:
        raise ExperimentError(
            f"reservoir.t_refractory (={config.t_refractory:g} s) is less than half a step of {dt:g} s; "
            "raise it, or set it to 0"
        )
    for key in sorted(RECURRENT_KEYS):
        if wiring.recurrent is None and getattr(config, key) is not None:
            raise ExperimentError(
                f"reservoir.{key}: this '{config.topology}' liquid has no recurrent synapses; remove it, or "
                "raise p_recurrent"
            )
    scaling_in = config.input_scaling
    scaling_rec = config.recurrent_scaling or scaling_in
    sign = None
    if wiring.recurrent is not None:
        if config.frac_excitatory is not None:
            draw = rng.stream(seed, f"chip{chip}/reservoir/sign")
            excites = draw.permutation(wiring.n_neurons) < round(config.frac_excitatory * wiring.n_neurons)
            sign = np.where(excites, 1, -1).astype(np.int8)[wiring.recurrent.pre]
        if config.spectral_radius is not None and like is None:
            radius = _spectral_radius(wiring.recurrent, dg, sign)
            if radius == 0:
                raise ExperimentError(
                    "reservoir.spectral_radius: the recurrent weights have radius 0, no loop of formed "
                    "cells; set recurrent_scaling instead, or form more cells"
                )
            scaling_rec = config.spectral_radius * config.v_threshold / radius
    scaling = like.weights.scaling if like else (scaling_in, scaling_rec)
    largest = _largest(dg, wiring, scaling) or config.v_threshold  # nothing is formed
    lsb = 1.0 if config.weights == "float32" else float(HEAD_ROOM * largest) / np.iinfo(config.weights).max
    lsb = like.weights.lsb if like else lsb
    q_in, q_rec = _quantise(dg, scaling, lsb, np.dtype(config.weights))
    variance, unit = np.empty(0, np.uint8), 0.0
    if config.read_noise and white_variance is not None and white_variance.any():
        scale = np.full(dg.size, scaling[0])
        if wiring.recurrent is not None:
            scale[wiring.recurrent.pair] = scaling[1]
        exact = white_variance.ravel().astype(np.float64) * (scale / lsb) ** 2
        unit = float(exact.max()) / VARIANCE_LEVELS
        # rounded at random, so that the sum over many rows keeps even variances far below one unit
        up = rng.stream(seed, f"chip{chip}/reservoir/variance").random(dg.size)
        variance = np.floor(exact / unit + up).clip(max=VARIANCE_LEVELS).astype(np.uint8)
    strongest = max(scaling) if wiring.recurrent is not None else scaling[0]
    weights = Weights(wiring, scaling, lsb, q_in, q_rec, sign, variance, unit)
    if like:
        return replace(like, weights=weights)
    return Liquid(
        weights=weights,
        config=config,
        dt=dt,
        threshold=np.full(wiring.n_neurons, config.v_threshold / lsb, np.float32),
        adc_step=adc_step * strongest / lsb,
        adc_max=adc_full_scale * strongest / lsb,
        adc_errors=adc_errors and adc_errors.of_columns(wiring.column),
    )


def _largest(dg: Float, wiring: Wiring, scaling: tuple[float, float]) -> Any:
    """Largest absolute weight, in units of the threshold's."""
    sides = zip((wiring.inputs, wiring.recurrent), scaling, strict=True)
    return max(np.max(np.abs(dg.ravel()[s.pair])) * k for s, k in sides if s is not None)


def _quantise(
    dg: Float, scaling: tuple[float, float], lsb: float, dtype: np.dtype[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Weights of all pairs in units of lsb, at the input and at the recurrent scaling."""
    w_in, w_rec = (dg.ravel().astype(np.float64) * (k / lsb) for k in scaling)
    if dtype.kind == "f":
        return w_in.astype(dtype), w_rec.astype(dtype)
    top = np.iinfo(dtype).max
    q_in, q_rec = (np.clip(np.rint(w), -top, top).astype(dtype) for w in (w_in, w_rec))
    return q_in, q_rec


def _spectral_radius(synapses: Synapses, dg: Float, sign: npt.NDArray[np.int8] | None) -> float:
    """Largest absolute eigenvalue of the recurrent G+ - G- [S]."""
    n = synapses.n_pre
    weights = dg.ravel()[synapses.pair].astype(np.float64)
    if not weights.any():  # which ARPACK refuses
        return 0.0
    weights = weights if sign is None else np.abs(weights) * sign
    matrix = csr_array((weights, (synapses.pre, synapses.post)), shape=(n, n))
    if n <= DENSE_EIGENVALUES:
        values = np.linalg.eigvals(matrix.toarray())
    else:
        values = eigs(matrix, k=1, which="LM", v0=np.ones(n), tol=1e-3, return_eigenvectors=False)
    return float(np.abs(values).max())
