"""A quantum circuit as frozen data: drawn, counted, stripped of entanglement, run by any simulator."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from neurosim.errors import BaselineError, did_you_mean

Measure = Literal["probabilities", "X", "Y", "Z"]

ROTATIONS = frozenset({"RX", "RY", "RZ"})
FIXED = frozenset({"H", "X", "Y", "Z", "S"})
CONTROLLED_ROTATIONS = frozenset({"CRX", "CRY", "CRZ"})
ENTANGLING = frozenset({"CNOT", "CZ"}) | CONTROLLED_ROTATIONS


@dataclass(frozen=True)
class Slot:
    """Place of an angle that is not known yet: entry ``index`` of the inputs or of the weights."""

    source: Literal["input", "weight"]
    index: int

    def __str__(self) -> str:
        return f"{self.source[0].replace('i', 'x')}{self.index}"


@dataclass(frozen=True)
class Gate:
    """One gate, R_P(a) = exp(-i a P / 2) or a fixed one; of two wires the first is the control.

    Attributes:
        name: One of ``ROTATIONS``, ``FIXED``, ``ENTANGLING``.
        wires: Qubits it acts on.
        angle: Angle [rad] or its place; None where the gate has none.
    """

    name: str
    wires: tuple[int, ...]
    angle: Slot | float | None = None

    @property
    def label(self) -> str:
        """Text in a drawing."""
        if self.angle is None:
            return self.name
        return f"{self.name}({self.angle if isinstance(self.angle, Slot) else format(self.angle, '.3g')})"


@dataclass(frozen=True)
class Circuit:
    """Gates on qubits that start in 0; qubit 0 is the most significant bit of a basis state.

    Attributes:
        n_qubits: Qubits.
        gates: In the order of time.
        measure: ``probabilities`` of the 2^n basis states, or the expectation of one Pauli matrix per qubit.
        amplitude: Whether the 2^n inputs are the amplitudes of the start (normalised) instead of angles.

    Raises:
        BaselineError: If a gate, a wire, an angle or a slot is not what the above says.
    """

    n_qubits: int
    gates: tuple[Gate, ...]
    measure: Measure = "Z"
    amplitude: bool = False

    def __post_init__(self) -> None:
        """Check every gate."""
        known = ROTATIONS | FIXED | ENTANGLING
        for k, gate in enumerate(self.gates):
            where = f"circuit: gate {k} ({gate.name} on {gate.wires})"
            if gate.name not in known:
                raise BaselineError(f"{where}: unknown gate; {did_you_mean(gate.name, known)}")
            n_wires = 2 if gate.name in ENTANGLING else 1
            if len(set(gate.wires)) != n_wires or not all(0 <= w < self.n_qubits for w in gate.wires):
                raise BaselineError(
                    f"{where}: wrong wires; name {n_wires} different qubits of 0..{self.n_qubits - 1}"
                )
            if (gate.angle is None) == (gate.name in ROTATIONS | CONTROLLED_ROTATIONS):
                raise BaselineError(f"{where}: rotations need an angle and other gates have none")
            if self.amplitude and isinstance(gate.angle, Slot) and gate.angle.source == "input":
                raise BaselineError(f"{where}: the inputs are amplitudes here; use a weight or a number")
        for source in ("input", "weight"):
            used = {slot.index for slot in self._slots(source)}
            if used != set(range(len(used))):
                missing = min(set(range(max(used) + 1)) - used, default=min(used))
                raise BaselineError(
                    f"circuit: {source} {missing} is in no gate; number the {source}s without gaps from 0"
                )

    def _slots(self, source: str) -> Iterator[Slot]:
        return (g.angle for g in self.gates if isinstance(g.angle, Slot) and g.angle.source == source)

    @property
    def n_inputs(self) -> int:
        """Length of an input."""
        return 2**self.n_qubits if self.amplitude else len({slot.index for slot in self._slots("input")})

    @property
    def n_weights(self) -> int:
        """Number of trainable angles."""
        return len({slot.index for slot in self._slots("weight")})

    @property
    def n_outputs(self) -> int:
        """Length of an output."""
        return 2**self.n_qubits if self.measure == "probabilities" else self.n_qubits

    def without_entanglement(self) -> "Circuit":
        """The same circuit without its entangling gates; weights are numbered anew."""
        kept = [gate for gate in self.gates if gate.name not in ENTANGLING]
        numbers: dict[Slot, Slot] = {}
        for gate in kept:
            if isinstance(gate.angle, Slot) and gate.angle.source == "weight":
                numbers.setdefault(gate.angle, Slot("weight", len(numbers)))
        anew = (
            replace(g, angle=numbers.get(g.angle, g.angle)) if isinstance(g.angle, Slot) else g for g in kept
        )
        return replace(self, gates=tuple(anew))

    def counts(self) -> dict[str, int]:
        """Number of gates by name."""
        return dict(sorted(Counter(gate.name for gate in self.gates).items()))

    @property
    def n_entangling(self) -> int:
        """Number of gates on two qubits."""
        return sum(gate.name in ENTANGLING for gate in self.gates)

    @property
    def depth(self) -> int:
        """Time steps if every gate starts as soon as its wires are free."""
        return 1 + max((moment for moment, _ in self._moments(spans=False)), default=-1)

    def _moments(self, *, spans: bool) -> Iterator[tuple[int, Gate]]:
        """Earliest moment of every gate; with ``spans`` it also keeps the wires between its own free."""
        free = [0] * self.n_qubits
        for gate in self.gates:
            low, high = min(gate.wires), max(gate.wires)
            wires = range(low, high + 1) if spans else gate.wires
            moment = max(free[w] for w in wires)
            for w in wires:
                free[w] = moment + 1
            yield moment, gate

    def draw(self) -> str:
        """The circuit as text: one line per qubit, ``●`` for controls, x and w for inputs and weights."""
        placed = list(self._moments(spans=True))
        head = "|ψ(x)⟩" if self.amplitude else "|0⟩"
        rows = [f"{q:>2}: {head} ─" for q in range(self.n_qubits)]
        between = [" " * len(row) for row in rows]
        for moment in range(1 + max((m for m, _ in placed), default=-1)):
            cells = ["─"] * self.n_qubits
            links = [" "] * self.n_qubits
            for m, gate in placed:
                if m != moment:
                    continue
                low, high = min(gate.wires), max(gate.wires)
                for q in range(low + 1, high):
                    cells[q] = "┼"
                for q in range(low, high):
                    links[q] = "│"
                *controls, target = gate.wires
                for q in controls:
                    cells[q] = "●"
                cells[target] = gate.label.lstrip("C").replace("NOT", "⊕") if controls else gate.label
            width = max(map(len, cells))
            for q in range(self.n_qubits):
                rows[q] += cells[q].center(width, "─") + "─"
                between[q] += links[q].center(width) + " "
        read = "P" if self.measure == "probabilities" else f"⟨{self.measure}⟩"
        lines = [line for q in range(self.n_qubits) for line in (f"{rows[q]} {read}", between[q].rstrip())]
        return "\n".join(line for line in lines if line)


def angle_embedding(n_qubits: int, axis: Literal["RX", "RY", "RZ"]) -> tuple[Gate, ...]:
    """Input i turns qubit i."""
    return tuple(Gate(axis, (q,), Slot("input", q)) for q in range(n_qubits))


def cnot_ring(n_qubits: int, reach: int = 1) -> tuple[Gate, ...]:
    """CNOT(q, q + reach) for every qubit, counted round the ring."""
    return tuple(Gate("CNOT", (q, (q + reach) % n_qubits)) for q in range(n_qubits))


def strongly_entangling(n_qubits: int, n_layers: int) -> tuple[Gate, ...]:
    """Layers of RZ, RY, RZ on every qubit and a CNOT ring of growing reach.

    Source: Schuld et al., Phys. Rev. A 101, 032308 (2020), as PennyLane's ``StronglyEntanglingLayers``.
    """
    gates: list[Gate] = []
    for layer in range(n_layers):
        for q in range(n_qubits):
            first = 3 * (layer * n_qubits + q)
            turns = zip(("RZ", "RY", "RZ"), range(first, first + 3), strict=True)
            gates += [Gate(name, (q,), Slot("weight", k)) for name, k in turns]
        if n_qubits > 1:
            gates += cnot_ring(n_qubits, layer % (n_qubits - 1) + 1)
    return tuple(gates)


def basic_entangling(n_qubits: int, n_layers: int) -> tuple[Gate, ...]:
    """Layers of RX on every qubit and a CNOT ring (two qubits: one CNOT), as ``BasicEntanglerLayers``."""
    gates: list[Gate] = []
    for layer in range(n_layers):
        gates += [Gate("RX", (q,), Slot("weight", layer * n_qubits + q)) for q in range(n_qubits)]
        gates += cnot_ring(n_qubits)[: 1 if n_qubits == 2 else None] if n_qubits > 1 else ()
    return tuple(gates)
