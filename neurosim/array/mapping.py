"""Weights as conductances: shares of the window, cells, and what the converters see of them."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from neurosim.array.adc import Adc, draw_column_errors
from neurosim.array.crossbar import reads_averaged
from neurosim.array.irdrop import WiresConfig, see_pairs
from neurosim.array.mvm import AnalogMatrix, MvmConfig
from neurosim.array.tiles import tile
from neurosim.cards import MacroCard, load_device
from neurosim.device import DeviceConfig, check_read_voltage, chord, make_cells, slow_steps
from neurosim.device.config import number
from neurosim.errors import ExperimentError, OutOfRangeError, ShapeError

Array = npt.NDArray[np.float32]


def program_matrix(
    weights: npt.ArrayLike,
    config: MvmConfig,
    device: DeviceConfig,
    macro: MacroCard,
    *,
    seed: int,
    name: str,
    wires: WiresConfig | None = None,
) -> AnalogMatrix:
    """Program a matrix into cells.

    With r = w / max|w|, a weight is G = g_min + |r| (g_max - g_min) in G+ or, where it is negative, in G-,
    and g_min in the other; or G = g_min + (1 + r)/2 (g_max - g_min) in one cell. Slices of b bits carry the
    digits, to the base 2^b, of round(|r| (2^B - 1)), or of round((1 + r)/2 (2^B - 2)), B = weight_slices b.

    Args:
        weights: (n_in, n_out) [1].
        config: How it is multiplied.
        device: Technology and treatment of the cells.
        macro: Macro card.
        seed: Seed of the experiment.
        name: Stream prefix, e.g. ``"chip0/readout"``.
        wires: Wire resistance; None: none.

    Raises:
        CardError: If the device card is unknown or wrong.
        ExperimentError: If the config contradicts itself or a card.
        OutOfRangeError: If a value leaves its range.
        ShapeError: If the weights are no matrix of finite numbers.

    Assumes: every cell was formed and takes any conductance of the card's window, with the card's errors; the
        slow part of the read noise stands still while the matrix is in use; the mean curvature of the cells
        at the read voltage is known and divided out digitally.
    Source: differential pairs, offsets and bit slices are the field's usual mappings; the rest is the card's.
    """
    weights = np.asarray(weights, np.float32)
    if weights.ndim != 2 or not weights.size or not np.isfinite(weights).all():
        raise ShapeError(
            f"weights of shape {weights.shape} are no matrix of finite numbers; give (n_in, n_out), and look "
            "for nan"
        )
    card, v_read = load_device(device.card), macro.v_read.value
    dac_bits, adc_bits = _bits(config, macro)
    check_read_voltage(card, v_read, extrapolate=device.extrapolate)
    largest = float(np.abs(weights).max()) or 1.0
    shares, part_factors, unit = _shares(weights.astype(np.float64) / largest, config)
    low, high = card.conductance.g_min.value, card.conductance.g_max.value
    pos, neg = (
        make_cells(
            device,
            share.shape,
            seed=seed,
            name=f"{name}/{side}",
            target=(low + share * (high - low)).astype(np.float32),
            word_lines=f"{name}/{side if config.mapping == 'separate' else 'pos'}",
        )
        for side, share in zip(("pos", "neg"), shares, strict=True)
    )
    tiles = tile(pos.g.shape, macro, "separate" if config.mapping == "separate" else "adjacent")
    v0 = device.v_nonlinear or number(card.iv.v0 if card.iv else None)
    if card.iv and not v0 and (config.inputs, config.signed_inputs) != ("bit_serial", "two_phase"):
        raise ExperimentError(
            f"device card '{card.name}' has a polynomial [iv], which is taken at the read voltage only; set "
            "inputs = 'bit_serial' and signed_inputs = 'two_phase', or device.v_nonlinear"
        )
    bend = partial(chord, card, v_nonlinear=device.v_nonlinear) if card.iv or v0 else None
    seen = see_pairs(pos.g, neg.g, tiles, macro, wires, bend)
    g, variance = [], []
    for side, cells, view in zip(("pos", "neg"), (pos, neg), seen, strict=True):
        slow = next(slow_steps(card, cells.g.shape, [0.0], seed=seed, name=f"{name}/{side}"))
        g.append(view.moved(cells.sigma_slow * slow))
        variance.append((view.gain * cells.sigma_white) ** 2 / reads_averaged(config.t_integrate, macro))
    if config.mapping == "pairs":
        g, variance = [g[0] - g[1]], [variance[0] + variance[1]]
    columns = partial(_columns, config=config, n_out=weights.shape[1])
    seen_by_converters = columns(g)
    per_siemens = largest * unit / (high - low)
    zero = largest + per_siemens * low * float(part_factors.sum())
    if bend is not None:
        per_siemens /= float(np.mean([bend(cells.g, v_read) for cells in (pos, neg)]))
    return AnalogMatrix(
        config=config,
        macro=macro,
        tiles=tiles,
        g=seen_by_converters,
        variance=columns(variance),
        g_mean=float(np.mean([view.g for view in seen])),
        part_factors=part_factors,
        weight_unit=per_siemens,
        zero=zero if config.mapping == "offset" else 0.0,
        v0=v0,
        errors=tuple(
            draw_column_errors(
                seen_by_converters.shape[1],
                sigma_gain=config.adc_sigma_gain,
                sigma_offset=config.adc_sigma_offset,
                inl=config.adc_inl,
                seed=seed,
                name=f"{name}/rows{group}",
            )
            for group in range(tiles.row_groups)
        ),
        dac_bits=dac_bits,
        adc_bits=adc_bits,
        dac_full_scale=_number_or_none(config.dac_full_scale),
        adc_full_scale=_number_or_none(config.adc_full_scale or macro.adc_full_scale.value),
    )


def _number_or_none(full_scale: float | str) -> float | None:
    """A full scale that is given, or None where it is to be calibrated."""
    return full_scale if isinstance(full_scale, float) else None


def _bits(config: MvmConfig, macro: MacroCard) -> tuple[int, int]:
    """Resolutions of drivers and converters, checked against each other and the rest of the config."""
    dac = macro.dac_bits.value if config.dac_bits is None else config.dac_bits
    adc = macro.adc_bits.value if config.adc_bits is None else config.adc_bits
    if dac == 1:
        raise OutOfRangeError("dac_bits = 1 leaves a driver the level 0 alone; use 2 or more, or 0 (ideal)")
    if config.inputs == "bit_serial" and dac == 0:
        raise ExperimentError("inputs = 'bit_serial', but dac_bits = 0 (ideal) has no bits; set dac_bits")
    if adc:
        Adc(adc, 1.0)  # refuses a resolution without levels
    elif config.adc_sigma_gain or config.adc_sigma_offset or config.adc_inl:
        raise ExperimentError(
            "adc_sigma_gain, adc_sigma_offset and adc_inl are errors of a converter, but adc_bits = 0 has "
            "none; give it bits, or set the errors to 0"
        )
    return dac, adc


def _shares(r: npt.NDArray[np.float64], config: MvmConfig) -> tuple[npt.NDArray[np.float64], Array, float]:
    """Where in the window the two cells of every pair of columns stand, and what they count.

    Args:
        r: Weights in -1 .. 1, (n_in, n_out).
        config: See ``mapping``, ``weight_slices`` and ``slice_bits``.

    Returns:
        shares: (2, n_in, n_pairs) [1]. With one cell per weight, neighbours make the pairs.
        part_factors: float32 (n_parts,).
        unit: Weight of a share of 1 in a part of factor 1.
    """
    paired = config.mapping in ("pairs", "separate")
    n_slices, bits = config.weight_slices, config.slice_bits
    if config.mapping == "reference":
        r = np.column_stack([r, np.zeros(len(r))])
    sides = np.stack([np.maximum(r, 0), np.maximum(-r, 0)]) if paired else (1 + r[None]) / 2
    unit = 1.0 if paired else 2.0
    if bits is None and n_slices > 1:
        raise ExperimentError(
            f"weight_slices = {n_slices} share the bits of a weight; say with slice_bits how many each has"
        )
    if bits is None:
        share, factors = sides[..., None], np.ones(1, np.float32)
    else:
        n_bits = n_slices * bits
        top = 2**n_bits - (1 if paired else 2)  # one cell: even, so that the zero weight is a level
        if not 1 <= top < 2**24:
            raise OutOfRangeError(
                f"weight_slices x slice_bits = {n_bits} bits, but mapping '{config.mapping}' takes "
                f"{1 if paired else 2} to 24"
            )
        digits = np.rint(sides * top).astype(np.int64)[..., None] >> bits * np.arange(n_slices)
        share = (digits & (2**bits - 1)) / (2**bits - 1)
        factors = np.float32(2) ** (bits * np.arange(n_slices, dtype=np.float32))
        unit *= (2**bits - 1) / top
    share = share.reshape(*share.shape[:2], -1)  # (sides, n_in, weights x slices)
    if config.mapping == "separate":
        factors = np.concatenate([factors, -factors])
    if not paired:
        share = np.pad(share[0], ((0, 0), (0, share.shape[2] % 2)))
        share = np.stack([share[:, ::2], share[:, 1::2]])
    return share, factors, unit


def _columns(arrays: Sequence[Array], *, config: MvmConfig, n_out: int) -> Array:
    """Arrays (n_in, weights x slices) as converter columns (n_in, n_columns), part by part."""
    n_in, n_slices = len(arrays[0]), config.weight_slices
    if config.mapping in ("offset", "reference"):
        n_out += config.mapping == "reference"
        arrays = [np.stack(arrays, axis=2).reshape(n_in, -1)[:, : n_out * n_slices]]
    parts = [array.reshape(n_in, n_out, n_slices).transpose(0, 2, 1).reshape(n_in, -1) for array in arrays]
    return np.concatenate(parts, axis=1, dtype=np.float32)
