"""What a recording costs: operations counted from its activity, and their energy, time and area.

Beside the macro the same work on digital platforms, counted densely and spike by spike.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from neurosim.array.tiles import Tiling
from neurosim.cards import MacroCard, PlatformCard

Counting = Literal["dense", "spike-aware"]


@dataclass(frozen=True)
class Work:
    """What a recording asks for, as means over recordings.

    The last three say how a macro does it; spikes on undivided weights need neither cycles nor slices.

    Attributes:
        n_neurons: Neurons; each has one current converted in every step.
        n_steps: Time steps.
        n_synapses: Synapses from channels and from neurons.
        n_driven: Synapses that active channels and spikes drive, all steps summed.
        n_spikes: Spikes of all neurons.
        n_macs: Weights of the projection, all layers.
        reads_per_step: Reads of the crossbar per step.
        n_cycles: Reads one after another for an input of several bits, one for each bit.
        n_slices: Pairs of columns for a weight of several digits, one for each digit.
        reads_averaged: Length of a read in units of the macro's t_read [1].
    """

    n_neurons: int
    n_steps: int
    n_synapses: int
    n_driven: float
    n_spikes: float
    n_macs: int
    reads_per_step: int = 1
    n_cycles: int = 1
    n_slices: int = 1
    reads_averaged: float = 1.0


@dataclass(frozen=True)
class Cost:
    """What a recording costs on one platform. A table is empty where the card does not know.

    Attributes:
        platform: Name of the card.
        counting: ``spike-aware``: only driven synapses; ``dense``: every synapse in every step.
        energy: Energy by component, with ``"total"`` [J].
        latency: Time by component, with ``"total"`` [s].
        area: Area by component, with ``"total"`` [m^2].
    """

    platform: str
    counting: Counting
    energy: dict[str, float]
    latency: dict[str, float]
    area: dict[str, float]


# ---- macro -----------------------------------------------------------------------------------------


def count_operations(tiles: Tiling, work: Work) -> dict[str, float]:
    """Operations of one recording on the macro.

    A read serves C = n_neurons / reads_per_step neurons; S synapses are driven in all,

        row_activations = arrays n_cycles S / C spans      spans = ceil(C n_slices / block_pairs): a row
                                                           once in every block that the read spans
        cell_reads      = 2 n_cycles n_slices S            active rows x pairs of columns x 2
        adc_conversions = n_cycles n_slices n_steps n_neurons row_groups
                                                           a pair of columns once per step and row group
        accumulations   = adc_conversions + n_spikes       a partial sum or membrane each; a spike counter
        macs            = n_macs                           the weights of the projection, each once

    Args:
        tiles: Layout of the crossbar.
        work: What the recording asks for.

    Assumes: rows that are not driven cost nothing; columns that a read does not serve are off; converters
        run in every step, whether or not a row is driven; every bit of an input of several bits is 1; the
        leak costs nothing beside its addition.
    Source: counting; shown read by read in tests/test_array.py.
    """
    copies = work.n_cycles * work.n_slices
    reads_of_rows = work.n_cycles * work.n_driven / _neurons_per_read(work)
    conversions = float(copies * work.n_steps * work.n_neurons * tiles.row_groups)
    return {
        "row_activations": tiles.arrays * reads_of_rows * _spans(tiles, work),
        "cell_reads": 2.0 * copies * work.n_driven,
        "adc_conversions": conversions,
        "accumulations": conversions + work.n_spikes,
        "macs": float(work.n_macs),
    }


def adc_energy(macro: MacroCard, bits: int) -> float:
    """Energy of one conversion [J].

    E(bits) = energy_adc adc_growth_energy^(bits - adc_bits_ref)

    Args:
        macro: Macro card.
        bits: Resolution; 0 (ideal) costs what ``adc_bits_ref`` bits do.

    Assumes: another resolution is another converter, as good for its resolution as the card's; ``bits``
        effective ones.
    Source: Walden, IEEE J. Sel. Areas Commun. 17 (1999) 539, doi:10.1109/49.761034, whose figure of merit has
        the factor 2; the cards' 1.85 is fitted to Murmann's survey of converters.
    """
    return macro.energy_adc.value * macro.adc_growth_energy.value ** _further_bits(macro, bits)


def energy(
    operations: Mapping[str, float],
    macro: MacroCard,
    g_mean: float,
    *,
    adc_bits: int,
    reads_averaged: float = 1.0,
) -> dict[str, float]:
    """Energy of counted operations [J], by component and in total.

    Each count times the card's energy of one such operation; a cell read costs V_read^2 g_mean t_read, times
    ``reads_averaged``.

    Args:
        operations: Counts, see `count_operations`.
        macro: Macro card.
        g_mean: Mean conductance of the cells [S] (`Crossbar.g_mean`).
        adc_bits: Resolution of the converters; 0 is ideal.
        reads_averaged: Length of a read in units of t_read [1].

    Assumes: cells conduct for the whole read; no leakage, buffers, control or wires between tiles.
    Source: energies of the macro card; cell energy is Joule heat.
    """
    cell_read = macro.v_read.value**2 * g_mean * macro.t_read.value * reads_averaged
    return _with_total(
        {
            "row_drive": operations["row_activations"] * macro.energy_row.value,
            "cell_read": operations["cell_reads"] * cell_read,
            "adc": operations["adc_conversions"] * adc_energy(macro, adc_bits),
            "digital_accumulate": operations["accumulations"] * macro.energy_accumulate.value,
            "projection_mac": operations["macs"] * macro.energy_mac.value,
        }
    )


def latency(tiles: Tiling, macro: MacroCard, work: Work, *, adc_bits: int) -> dict[str, float]:
    """Time from the first step of a recording to its answer [s], by component and in total.

    A step makes n reads one after another, each converted while the next is read,

        n         = n_cycles ceil(reads_per_step row_groups spans / (n_tiles / arrays))
        t_convert = ceil(columns / n_adcs) t_adc bits / adc_bits_ref,  columns = min(C n_slices, block_pairs)
        t_step    = t_read + t_convert + (n - 1) max(t_read, t_convert) + t_accumulate

    and the longer of reading and conversion has the n - 1 further turns in the table. The projection follows
    the last step, one multiplication after another.

    Args:
        tiles: Layout of the crossbar.
        macro: Macro card.
        work: What the recording asks for.
        adc_bits: Resolution of the converters; 0 (ideal) takes the time of ``adc_bits_ref`` bits.

    Assumes: in parallel: the rows of a block, tiles (which share the reads of a step evenly), both arrays of
        separate pairs, converters; in sequence: the columns of one converter, blocks of one tile, reads of
        one tile, bits of an input, steps, which wait for the spikes of the one before. Every column can
        hold its sample. A successive approximation, whose time is proportional to its bits. No time between
        steps, nor for moving spikes; an event camera's recording itself lasts far longer.
    Source: pipeline as in ISAAC, doi:10.1109/ISCA.2016.12; time per bit as in puma-simulator,
        include/constants.py, adc_lat_dict.
    """
    spans, parallel = _spans(tiles, work), tiles.n_tiles // tiles.arrays
    n_reads = work.n_cycles * math.ceil(work.reads_per_step * tiles.row_groups * spans / parallel)
    columns = min(math.ceil(_neurons_per_read(work) * work.n_slices), tiles.block[1])
    turns = math.ceil(columns / macro.n_adcs.value)
    read = macro.t_read.value * work.reads_averaged
    convert = turns * macro.t_adc.value * (1 + _further_bits(macro, adc_bits) / macro.adc_bits_ref.value)
    return _with_total(
        {
            "cell_read": work.n_steps * read * (n_reads if read >= convert else 1),
            "adc": work.n_steps * convert * (1 if read >= convert else n_reads),
            "digital_accumulate": work.n_steps * macro.t_accumulate.value,
            "projection_mac": work.n_macs * macro.t_mac.value,
        }
    )


def area(tiles: Tiling, macro: MacroCard, *, adc_bits: int) -> dict[str, float]:
    """Area of the macros that a crossbar occupies [m^2], by component and in total.

    n_tiles times: rows cols cells, rows drivers, cols sample-and-holds, n_adcs converters and as many
    accumulators; a converter takes area_adc adc_growth_area^(bits - adc_bits_ref).

    Args:
        tiles: Layout of the crossbar.
        macro: Macro card.
        adc_bits: Resolution of the converters; 0 (ideal) takes the area of ``adc_bits_ref`` bits.

    Assumes: whole macros, used or not; no decoders, programming circuits, sense amplifiers, buffers, wiring
        or projection unit.
    Source: areas of the macro card.
    """
    rows, cols, n_adcs = macro.rows.value, macro.cols.value, macro.n_adcs.value
    growth = macro.adc_growth_area.value ** _further_bits(macro, adc_bits)
    one = {
        "cells": rows * cols * macro.area_cell.value,
        "row_drivers": rows * macro.area_row.value,
        "sample_and_hold": cols * macro.area_sample_hold.value,
        "adc": n_adcs * macro.area_adc.value * growth,
        "accumulators": n_adcs * macro.area_accumulate.value,
    }
    return _with_total({name: tiles.n_tiles * value for name, value in one.items()})


def in_memory(cost: Cost, products: Sequence[Cost]) -> Cost:
    """The cost of a recording whose projection is multiplied in memory, after its last step.

    Args:
        cost: Of the recording with a digital projection.
        products: Of the layers of the projection, one after another (`macro_cost` of `AnalogMatrix.work`).
    """

    def joined(what: str) -> dict[str, float]:
        items = {k: v for k, v in getattr(cost, what).items() if k not in ("projection_mac", "total")}
        return _with_total({**items, "projection_memory": sum(getattr(p, what)["total"] for p in products)})

    return replace(cost, energy=joined("energy"), latency=joined("latency"), area=joined("area"))


def macro_cost(tiles: Tiling, macro: MacroCard, work: Work, *, g_mean: float, adc_bits: int) -> Cost:
    """What a recording costs on the macro: `energy`, `latency` and `area` of the same work."""
    operations = count_operations(tiles, work)
    return Cost(
        platform=macro.name,
        counting="spike-aware",
        energy=energy(operations, macro, g_mean, adc_bits=adc_bits, reads_averaged=work.reads_averaged),
        latency=latency(tiles, macro, work, adc_bits=adc_bits),
        area=area(tiles, macro, adc_bits=adc_bits),
    )


# ---- digital platforms -----------------------------------------------------------------------------


def digital_cost(platform: PlatformCard, work: Work, counting: Counting) -> Cost:
    """What the same recording costs on a digital platform.

    Dense counting multiplies every synapse's weight by its input, spike or none, in every step; spike-aware
    counting adds the weights of driven synapses and touches no other,

        synapses    = n_steps n_synapses energy_mac     or   n_driven energy_add
        weight_read = n_steps n_synapses energy_weight  or   n_driven energy_weight
        accumulate  = (n_steps n_neurons + n_spikes) energy_add             membranes, spike counters
        projection  = n_macs (energy_mac + energy_weight)

    and the latency is the number of multiplications and additions over ``mac_rate``.

    Args:
        platform: Platform card.
        work: What the recording asks for.
        counting: ``dense`` or ``spike-aware``.

    Assumes: weights are read once for each use; a platform at its peak rate, which no liquid of some hundred
        neurons keeps busy; no instructions, inputs, network or leakage beyond what the card's energies
        contain; a spike-aware GPU is a bound, its units multiply whole tiles.
    Source: energies of the platform card; counts as in the dense and spike-aware counters of the paper's
        group, https://github.com/MrLinNing/RMAdaptiveMachine, SpeakerAuthentication/models.py.
    """
    dense = counting == "dense"
    n = float(work.n_steps * work.n_synapses) if dense else work.n_driven
    additions = work.n_steps * work.n_neurons + work.n_spikes
    mac, add, weight = platform.energy_mac.value, platform.energy_add.value, platform.energy_weight.value
    rate, size = platform.mac_rate, platform.area
    return Cost(
        platform=platform.name,
        counting=counting,
        energy=_with_total(
            {
                "synapses": n * (mac if dense else add),
                "weight_read": n * weight,
                "digital_accumulate": additions * add,
                "projection_mac": work.n_macs * (mac + weight),
            }
        ),
        latency={"total": (n + additions + work.n_macs) / rate.value} if rate else {},
        area={"total": size.value} if size else {},
    )


def compare(macro: Cost, platforms: Iterable[PlatformCard], work: Work) -> tuple[Cost, ...]:
    """The macro's cost, and after it the same work on every platform by both countings."""
    countings: tuple[Counting, ...] = ("dense", "spike-aware")
    return (macro, *(digital_cost(card, work, counting) for card in platforms for counting in countings))


def _neurons_per_read(work: Work) -> float:
    return work.n_neurons / work.reads_per_step


def _spans(tiles: Tiling, work: Work) -> int:
    """Column groups that one read spans."""
    return min(math.ceil(_neurons_per_read(work) * work.n_slices / tiles.block[1]), tiles.col_groups)


def _further_bits(macro: MacroCard, bits: int) -> int:
    """Bits beyond the reference resolution; none for an ideal converter."""
    return bits - macro.adc_bits_ref.value if bits else 0


def _with_total(items: dict[str, float]) -> dict[str, float]:
    return {**items, "total": sum(items.values())}
