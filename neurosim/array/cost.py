"""What a recording costs: operations counted from its activity, and their energy."""

import math
from collections.abc import Mapping

from neurosim.array.tiles import Tiling
from neurosim.cards import MacroCard


def count_operations(
    tiles: Tiling,
    *,
    n_neurons: int,
    reads_per_step: int,
    input_fan_out: float,
    recurrent_fan_out: float,
    n_input_events: float,
    n_spikes: float,
    n_steps: int,
    n_macs: int,
) -> dict[str, float]:
    """Operations of one recording, from its mean activity.

    A read serves C = n_neurons / reads_per_step pairs of columns; S synapses are driven in all,

        S               = n_input_events input_fan_out + n_spikes recurrent_fan_out
        row_activations = S / C ceil(C / block_pairs)      a row once in every block that the read spans
        cell_reads      = 2 S                              active rows x pairs of columns x 2
        adc_conversions = n_steps n_neurons row_groups     a pair of columns once per step and row group
        accumulations   = adc_conversions + n_spikes       a partial sum or membrane each; a spike counter
        macs            = n_macs                           the weights of the projection, each once

    Args:
        tiles: Layout of the crossbar.
        n_neurons: Neurons; each has one current converted in every step.
        reads_per_step: Reads of the crossbar per step.
        input_fan_out: Mean number of synapses that an input event drives.
        recurrent_fan_out: Mean number of synapses that a spike drives; 0 without recurrence.
        n_input_events: Active channels of all steps, summed.
        n_spikes: Spikes of all neurons.
        n_steps: Time steps.
        n_macs: Weights of the projection, all layers.

    Assumes: rows that are not driven cost nothing; columns that a read does not serve are off; converters
        run in every step, whether or not a row is driven; the leak costs nothing beside its addition.
    Source: counting.
    """
    synapses = n_input_events * input_fan_out + n_spikes * recurrent_fan_out
    pairs_per_read = n_neurons / reads_per_step
    conversions = float(n_steps * n_neurons * tiles.row_groups)
    return {
        "row_activations": synapses / pairs_per_read * math.ceil(pairs_per_read / tiles.block[1]),
        "cell_reads": 2.0 * synapses,
        "adc_conversions": conversions,
        "accumulations": conversions + n_spikes,
        "macs": float(n_macs),
    }


def energy(operations: Mapping[str, float], macro: MacroCard, g_mean: float) -> dict[str, float]:
    """Energy of counted operations [J], by component and in total.

    Each count times the card's energy of one such operation; a cell read costs V_read^2 g_mean t_read.

    Args:
        operations: Counts, see `count_operations`.
        macro: Macro card.
        g_mean: Mean conductance of the cells [S] (`Crossbar.g_mean`).

    Assumes: cells conduct for the whole read; no leakage, buffers or wires between tiles; a conversion costs
        what the card says at any ``adc_bits``.
    Source: energies of the macro card; cell energy is Joule heat.
    """
    cell_read = macro.v_read.value**2 * g_mean * macro.t_read.value
    items = {
        "row_drive": operations["row_activations"] * macro.energy_row.value,
        "cell_read": operations["cell_reads"] * cell_read,
        "adc": operations["adc_conversions"] * macro.energy_adc.value,
        "digital_accumulate": operations["accumulations"] * macro.energy_accumulate.value,
        "projection_mac": operations["macs"] * macro.energy_mac.value,
    }
    return {**items, "total": sum(items.values())}
