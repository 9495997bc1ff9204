"""What the paper's cost ratios can and cannot be reproduced from.

Lin et al., Nat. Comput. Sci. 5, 37 (2025), doi:10.1038/s43588-024-00751-z, state for a zero-shot liquid of
random resistive memory 23.34 times the energy efficiency and 152.83 times less training than a trained
network on audio-visual digits, 160 and 393.07 times on neural-visual letters. How they counted could not be
read. Network sizes are those of the authors' scripts (github.com/MrLinNing/MemristorLSM); everything that is
assumed beside them is printed with the number it leads to.

    make bench NAME=paper_cost
"""

import json
from dataclasses import dataclass
from itertools import product

from neurosim.array import Work, digital_cost, macro_cost, tile
from neurosim.cards import load_device, load_macro, load_platform
from neurosim.zero_shot import training_cost

G_MEAN = load_device("taox_1t1r_40nm").conductance.g_mean.value
# pJ an operation in the group's tables (github.com/wangsc1912/ESGNN, Figs. 2g and 3g): its GPU, an A100's
# board power over its int8 peak, and its projected macros, energy over operations.
GROUP_PJ = 300 / 624
GROUP_RRAM_PJ = {"MUTAG": 33.92e6 / 153.5e6, "COLLAB": 233.8e6 / 17.29e9}


@dataclass(frozen=True)
class Encoder:
    """A dense liquid: channels, neurons, steps, and the share of each that is active in a step (assumed)."""

    n_in: int
    n: int
    steps: int
    p_in: float
    p_fire: float

    @property
    def macs(self) -> int:
        return self.steps * (self.n_in * self.n + self.n**2)

    def work(self, n_macs: int, scale: float = 1.0) -> Work:
        spikes = self.steps * self.n * self.p_fire * scale
        return Work(
            n_neurons=self.n,
            n_steps=self.steps,
            n_synapses=self.n_in * self.n + self.n**2,
            n_driven=self.steps * self.n_in * self.p_in * scale * self.n + spikes * self.n,
            n_spikes=spikes,
            n_macs=n_macs,
        )


@dataclass(frozen=True)
class Task:
    encoders: tuple[Encoder, Encoder]
    width: int  # of the projections
    batch: int
    training: float  # the paper's ratios
    energy: float

    @property
    def macs(self) -> int:
        return sum(encoder.macs for encoder in self.encoders)

    def projections(self) -> dict[str, int]:
        """Multiplications of the projections of a pair, by what may have been counted."""
        one = sum(encoder.n * self.width for encoder in self.encoders)
        two = one + 2 * self.width**2
        return {
            "one layer": one,
            "two layers": two,
            "two layers + similarities": two + 3 * self.batch * self.width,
        }


# Firing of liquids with the authors' constants on random input of 3 to 10 % density: about 30 % (image),
# 1.5 to 5.5 % (audio), 0.4 to 4 % (neural, letters).
TASKS = {
    "audio-visual": Task(
        (Encoder(256, 200, 50, 0.05, 0.30), Encoder(64, 200, 129, 0.05, 0.035)), 64, 8, 152.83, 23.34
    ),
    "neural-visual": Task(
        (Encoder(192, 2048, 201, 0.05, 0.02), Encoder(784, 2048, 49, 0.05, 0.02)), 256, 1024, 393.07, 160.0
    ),
}
RULES = {
    "encode once": lambda f, p, e: training_cost(f, p, e)["ratio"],
    "encode every epoch": lambda f, p, e: 3 * (f + p) / (f + 3 * p),
    "backward pass only": lambda f, p, e: (f + p) / p,
}
MACROS = (("rram_40nm_256kb", 14), ("rram_40nm_256kb", 8), ("rram_isaac_128", 8), ("pcm_hermes_core", 8))


def training() -> dict[str, float]:
    """Ratios of training by every rule, projection and number of epochs that the scripts leave open."""
    print("Training: multiplications of backpropagation through the encoders over those of the random liquid")
    print("  assumed: dense counting; backward pass = 2 forward passes; F encoder, P projection, E epochs")
    print("  once: 3E(F + P) / (F + 3EP); every epoch: 3(F + P) / (F + 3P); backward only: (F + P) / P")
    print("  in brackets: over the paper's ratio")
    print(f"  {'rule':20} {'projection':26} {'E':>4}" + "".join(f"{name:>20}" for name in TASKS))
    kinds = list(TASKS["audio-visual"].projections())
    tried = [
        (f"{rule:20} {kind:26} {epochs:4d}", law, kind, epochs)
        for (rule, law), kind, epochs in product(RULES.items(), kinds, (50, 100, 200))
        if rule == "encode once" or epochs == 100  # which cancel in the others
    ]
    ratios = {
        (name, row): law(task.macs, task.projections()[kind], epochs)
        for row, law, kind, epochs in tried
        for name, task in TASKS.items()
    }
    for row, *_ in tried:
        cells = (f"{ratios[n, row]:10.1f} ({ratios[n, row] / t.training:5.2f} x)" for n, t in TASKS.items())
        print(f"  {row}" + "".join(cells))
    found = {}
    for name, task in TASKS.items():
        error = {row: abs(ratios[name, row] / task.training - 1) for row, *_ in tried}
        best = min(error, key=lambda row, error=error: error[row])
        found[f"training_{name}"] = ratios[name, best]
        print(f"  nearest to {task.training}, {name}: {' '.join(best.split())}: {ratios[name, best]:.1f}")
        for e in (100, 200):
            p = task.macs * (3 * e - task.training) / (3 * e * (task.training - 1))
            which = f"P = {p:,.0f}" if p > 0 else "no P"
            print(f"    encoding once, E = {e}: {which} gives exactly {task.training}")
    print()
    return found


def pair(task: Task, scale: float = 1.0) -> list[Work]:
    """Both encoders of a pair; the projections' multiplications stand with the first."""
    n_macs = task.projections()["two layers"]
    return [encoder.work(n_macs if i == 0 else 0, scale) for i, encoder in enumerate(task.encoders)]


def on_macro(name: str, bits: int, task: Task, scale: float = 1.0) -> tuple[dict[str, float], int]:
    """Energy of a pair by component, and the macros that its two liquids occupy."""
    macro = load_macro(name)
    layouts = [tile((encoder.n_in + encoder.n, encoder.n), macro) for encoder in task.encoders]
    costs = [
        macro_cost(layout, macro, work, g_mean=G_MEAN, adc_bits=bits)
        for layout, work in zip(layouts, pair(task, scale), strict=True)
    ]
    joules = {key: sum(cost.energy[key] for cost in costs) for key in costs[0].energy}
    return joules, sum(layout.n_tiles for layout in layouts)


def inference(name: str, task: Task) -> dict[str, float]:
    """Energy of one pair: what the ratio implies, and what our cards give."""
    works = pair(task)
    n_macs, driven = task.macs + works[0].n_macs, sum(work.n_driven for work in works)
    print(f"Energy of a pair, {name}: {n_macs:,} multiplications dense, {driven:,.0f} driven synapses")
    for encoder in task.encoders:
        print(
            f"  assumed: {encoder.n_in} x {encoder.n} in {encoder.steps} steps, "
            f"{100 * encoder.p_in:g} % of channels and {100 * encoder.p_fire:g} % of neurons active in a step"
        )
    print(f"  assumed: every cell {G_MEAN * 1e6:.1f} uS; projections of two layers; energies of the cards")
    platforms = {}
    for card in map(load_platform, ("gpu_a100_int8", "gpu_a100_fp16", "accelerator_45nm")):
        for counting in ("dense", "spike-aware"):
            joules = sum(digital_cost(card, work, counting).energy["total"] for work in works)
            platforms[f"{card.name}, {counting}"] = joules
    platforms["gpu_a100_int8, dense, 1 operation a MAC"] = n_macs * GROUP_PJ * 1e-12
    print(f"  {'':40} {'energy':>12} {f'over {task.energy:g}':>12} {'pJ a dense operation':>21}")
    for platform, joules in platforms.items():
        implied = joules / task.energy
        shown = f"{joules * 1e9:9.1f} nJ {implied * 1e9:9.2f} nJ {implied / (2 * n_macs) * 1e12:21.5f}"
        print(f"  {platform:40} {shown}")
    needed = 2 * n_macs * GROUP_PJ * 1e-12 / task.energy
    neurons = sum(work.n_steps * work.n_neurons for work in works)
    print(f"  the group's GPU at {GROUP_PJ:.5f} pJ an operation over {task.energy:g}: {needed * 1e9:.1f} nJ,")
    print(f"    {needed / driven * 1e12:.3f} pJ a driven synapse,", end=" ")
    print(f"{needed / neurons * 1e12:.2f} pJ a neuron and step")
    found = {f"implied_pj_per_op_{name}": GROUP_PJ / task.energy}
    print("  the int8 GPU over macros: dense (at twice, half the activity), spike-aware; and the")
    print("  shares of cells, converters and projection in the macro's energy")
    print(f"  {'macro':16} {'bits':>4} {'number':>6} {'energy':>12}")
    for card, bits in MACROS:
        joules, tiles = on_macro(card, bits, task)
        totals = (joules["total"], *(on_macro(card, bits, task, scale)[0]["total"] for scale in (2.0, 0.5)))
        ratio, low, high = (platforms["gpu_a100_int8, dense"] / total for total in totals)
        aware = platforms["gpu_a100_int8, spike-aware"] / joules["total"]
        parts = (joules[key] / joules["total"] for key in ("cell_read", "adc", "projection_mac"))
        shares = ", ".join(f"{100 * part:.0f} %" for part in parts)
        print(f"  {card:16} {bits:4d} {tiles:6d} {joules['total'] * 1e9:9.1f} nJ  ", end="")
        print(f"{ratio:.1f} ({low:.1f}, {high:.1f}), {aware:.2f}; {shares}")
        found |= {f"dense_{name}_{card}_{bits}": ratio, f"aware_{name}_{card}_{bits}": aware}
    print()
    return found


def unknown() -> None:
    print("The group's projected macros elsewhere (ESGNN, Figs. 2g and 3g), for an operation:")
    for name, pj in GROUP_RRAM_PJ.items():
        print(f"  {name}: {pj:.4f} pJ, {GROUP_PJ / pj:.1f} times less than its GPU")
    low, high = sorted(GROUP_RRAM_PJ.values())
    for name, task in TASKS.items():
        pj = GROUP_PJ / task.energy
        place = "between them" if low < pj < high else "below both"
        print(f"  {task.energy:g} times on {name} needs {pj:.4f} pJ: {place}")
    print("""Cannot be inferred from what is public:
  the read voltage and time, the converter and its energy, the activity of the liquids; whether a
  multiplication is one operation or two; which network and machine a ratio is taken over; the epochs of the
  baseline, whether similarities and the tenfold copies of the neural data count. Each ratio is one number
  with several of these behind it: that some choices come near to it does not make them the paper's.
  The neural-visual encoders have 10.4 M weights and fill 80 macros of 262,144 cells and more: that ratio is
  not of the chip alone. A 40 nm macro with the 14 bits of its board does not reach 23.34 by our cards, with
  8 bits it does within what is not known of the activity; against a GPU that skipped silent inputs no macro
  would be far ahead.""")


def main() -> None:
    results = training()
    for name, task in TASKS.items():
        results |= inference(name, task)
    unknown()
    print(json.dumps({key.replace("-", "_"): value for key, value in results.items()}))


if __name__ == "__main__":
    main()
