"""What one inference of a baseline costs on hardware: multiply-accumulates on a chip, circuits on a QPU.

    costs = hardware_costs(model.operations())          # a hybrid: an optimistic and a realistic machine
    print(costs[-1].platform, costs[-1].energy["total"], costs[-1].latency["total"])

Numbers and their sources are those of the cards ``accelerator_45nm`` and ``qpu_*`` (``neurosim devices show
NAME``).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from neurosim.array.cost import Work, digital_cost
from neurosim.baselines.quantum.circuit import FIXED, ROTATIONS
from neurosim.cards import Photons, QpuCard, Qubits, load_platform, load_qpu
from neurosim.errors import BaselineError

if TYPE_CHECKING:
    from neurosim.baselines.base import Operations

PLATFORM = "accelerator_45nm"
TWO_QUBIT_GATES = dict.fromkeys(ROTATIONS | FIXED, 0) | {"SU(4)": 3, "SU(128)": 4091, "exp(iM)": 2059}


@dataclass(frozen=True)
class HardwareCost:
    """What one inference costs on one set of machines.

    Attributes:
        which: ``macro``: analog memory; ``digital``: a digital chip alone; ``optimistic``, ``realistic``: a
            digital chip and a quantum processor.
        platform: Names of the cards.
        energy: By component, ``classical`` and ``quantum``, with ``total`` [J]; empty: not known.
        latency: Time by component, with ``total`` [s]; empty: not known.
    """

    which: Literal["macro", "digital", "optimistic", "realistic"]
    platform: str
    energy: dict[str, float]
    latency: dict[str, float]


def hardware_costs(operations: "Operations", *, shots: int = 1024) -> tuple[HardwareCost, ...]:
    """A classical network on a digital chip; a hybrid on it and an optimistic, then a realistic processor.

        E_classical = macs (energy_mac + energy_weight)          as `digital_cost` counts a projection
        E_quantum   = power t                                    t: see `quantum_time`

    Args:
        operations: Work of one inference.
        shots: Measurements per circuit where the operations have none: exact expectations, which no device
            gives.

    Raises:
        BaselineError: If ``shots`` is below 1.

    Assumes: the parts follow each other. The chip's card knows no rate: a classical network's latency is
        empty and a hybrid's is that of its circuits. The power of the quantum processor is charged for as
        long as it works for this inference: nobody pays for cooling it down, calibrating it or idling. It is
        that of a whole installation, where the chip's energies are those of arithmetic and memory alone.
    Source: the cards; `neurosim.array.digital_cost`.
    """
    platform = load_platform(PLATFORM)
    chip = digital_cost(platform, Work(0, 0, 0, 0, 0, operations.macs), "dense")
    energy = {"classical": chip.energy["total"]}
    latency = {"classical": chip.latency["total"]} if chip.latency else {}
    if not operations.circuits:
        return (HardwareCost("digital", platform.name, _with_total(energy), _with_total(latency)),)
    technology = "photonic" if operations.photons else "transmon"
    whichs: tuple[Literal["optimistic", "realistic"], ...] = ("optimistic", "realistic")
    costs = []
    for which in whichs:
        card = load_qpu(f"qpu_{technology}_{which}")
        seconds = quantum_time(card, operations, shots)
        costs.append(
            HardwareCost(
                which,
                f"{platform.name} + {card.name}",
                _with_total(energy | {"quantum": card.power.value * seconds}),
                _with_total(latency | {"quantum": seconds}),
            )
        )
    return tuple(costs)


def quantum_time(card: QpuCard, operations: "Operations", shots: int = 1024) -> float:
    """Time that a quantum processor takes for the circuits of one inference [s].

        t = t_overhead + ceil(circuits / n_circuits) shots t_shot                shots: those of one circuit

        qubits:   t_shot  = n_two t_two_qubit + (n_steps - n_two) t_one_qubit + t_measure + t_reset
                  n_steps = depth + what compound gates add
                  n_two   = min(two-qubit gates of a circuit, n_steps)
        photons:  t_shot  = photons / (rate transmittance^photons)

    Args:
        card: The quantum processor.
        operations: Work of one inference, with at least one circuit.
        shots: Measurements per circuit where the operations have none.

    Raises:
        BaselineError: If ``shots`` is below 1, or the card is of photons and the operations are not.

    Assumes: one job; every circuit as deep as the deepest, with the mean number of gates. A step with a
        two-qubit gate takes that gate's time and holds no other as long as there are steps; a step without
        takes a one-qubit gate's. Rotations, CNOT, CZ and controlled rotations are one gate each; a general
        gate is as many CNOT, one after another, as its parameters ask for at least: 3 on two qubits, 4,091
        on seven, 2,059 for exp(iM) with real symmetric M on seven. Any other gate is one two-qubit gate (a
        neuron of `qrnn` takes more). One source serves the inputs in turn, so that a shot takes as many of
        its periods as there are photons, and counts if all arrive. Nothing for routing, preparing
        amplitudes, error mitigation, post-selection in `qrnn` or photons that meet in a detector.
    Source: IBM's formula of usage, https://quantum.cloud.ibm.com/docs/guides/estimate-job-run-time; number
        of CNOT: Shende, Markov & Bullock, Phys. Rev. A 69 (2004) 062321, ceil((4^n - 3n - 1)/4); the law of
        photons is counting.
    """
    of = card.technology
    t_shot = _qubits(of, operations) if isinstance(of, Qubits) else _photons(of, operations)
    turns = math.ceil(operations.circuits / card.n_circuits.value)
    return card.t_overhead.value + turns * shots_per_circuit(operations, shots) * t_shot


def shots_per_circuit(operations: "Operations", shots: int = 1024) -> float:
    """Measurements of one circuit that count: those of the operations, or ``shots`` where they have none.

    Raises:
        BaselineError: If ``shots`` is below 1.
    """
    if shots < 1:
        raise BaselineError(f"hardware: shots is {shots}; give at least 1 measurement per circuit")
    if operations.shots and operations.circuits:
        return round(operations.shots * operations.kept) / operations.circuits
    return float(shots)


def work_amount(operations: "Operations", shots: int = 1024) -> float:
    """One number of operations, by which contestants are matched: macs + gates x shots per circuit.

    It counts in favour of the quantum side: a gate is worth one multiply-accumulate, but it takes some
    50 ns of a machine of 25 kW, which is 1 mJ, and the other takes 1.6 pJ of a digital chip. Measurements,
    resets and lost photons are worth nothing, and a gate on seven qubits is one gate.

    Args:
        operations: Work of one inference; its gates are those of all circuits together.
        shots: Measurements per circuit where the operations have none.

    Raises:
        BaselineError: If ``shots`` is below 1.
    """
    return operations.macs + sum(operations.gates.values()) * shots_per_circuit(operations, shots)


def _qubits(of: Qubits, operations: "Operations") -> float:
    gates = [(n / operations.circuits, TWO_QUBIT_GATES.get(name, 1)) for name, n in operations.gates.items()]
    n_steps = operations.depth + sum(n * (needs - 1) for n, needs in gates if needs > 1)
    n_two = min(sum(n * needs for n, needs in gates), n_steps)
    steps = n_two * of.t_two_qubit.value + (n_steps - n_two) * of.t_one_qubit.value
    return steps + of.t_measure.value + of.t_reset.value


def _photons(of: Photons, operations: "Operations") -> float:
    n = operations.photons
    if not n:
        raise BaselineError("hardware: operations.photons is 0; say how many photons a circuit has")
    return n / (of.rate.value * of.transmittance.value**n)


def _with_total(parts: dict[str, float]) -> dict[str, float]:
    return {**parts, "total": sum(parts.values())} if parts else {}
