"""Batched statevector simulation in PyTorch, differentiable in weights and inputs.

Neighbouring one-qubit gates of a wire are multiplied first, all layers at once, and their Kronecker
products act as one matrix (two halves beyond ``COLLAPSE`` qubits); neighbouring CNOT and CZ gates are
one permutation with signs. Rotations on the inputs at the start make a product state without any gate.
Up to ``COLLAPSE`` qubits whatever follows and depends on weights only is one 2^n x 2^n matrix, the same
for the whole batch.

Axes: circuits (that differ in weights) C, basis states D = 2^n, batch B; a state is (C, D, B).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from neurosim.baselines.quantum.circuit import CONTROLLED_ROTATIONS, Circuit, Gate, Slot

COLLAPSE = 6  # most qubits whose weights are multiplied into one matrix

PAULI = {
    "X": np.array([[0, 1], [1, 0]], np.complex128),
    "Y": np.array([[0, -1j], [1j, 0]], np.complex128),
    "Z": np.array([[1, 0], [0, -1]], np.complex128),
}
HADAMARD = np.array([[1, 1], [1, -1]], np.complex128) / math.sqrt(2)
PHASE = np.array([[1, 0], [0, 1j]], np.complex128)
FIXED_MATRICES = {**PAULI, "I": np.eye(2, dtype=np.complex128), "H": HADAMARD, "S": PHASE}
# what turns the eigenvectors of a Pauli matrix into those of Z
TO_Z = {"X": HADAMARD, "Y": HADAMARD @ PHASE.conj()}

Matrix = npt.NDArray[np.complex128]
Indices = npt.NDArray[np.int64]


@dataclass
class _Singles:
    """One-qubit gates: of every wire, the numbers of its gates in order of time."""

    runs: list[list[int]]


@dataclass
class _Monomial:
    """new[d] = sign[d] * old[source[d]]."""

    source: Indices
    sign: npt.NDArray[np.float64]


@dataclass
class _Controlled:
    """Gate ``number`` on ``target`` where ``control`` is 1."""

    number: int
    control: int
    target: int


@dataclass
class _Program:
    """Gates grouped into few operations.

    Attributes:
        matrices: Matrices of gates without a slot, by gate number; the last one turns the measured axis.
        product: Runs of gates with which the wires start.
        ops: What follows.
    """

    matrices: dict[int, Matrix] = field(default_factory=dict)
    product: list[list[int]] = field(default_factory=list)
    ops: list[_Singles | _Monomial | _Controlled] = field(default_factory=list)


def compile_circuit(circuit: Circuit) -> _Program:
    """Group the gates of a circuit; gates that wait commute with all that has been put out before them."""
    n = circuit.n_qubits
    program = _Program(product=[[] for _ in range(n)])
    waiting: list[list[int]] = [[] for _ in range(n)]
    monomial = _Monomial(np.arange(2**n), np.ones(2**n))

    def flush() -> None:
        nonlocal waiting, monomial
        if not np.array_equal(monomial.source, np.arange(2**n)) or (monomial.sign < 0).any():
            program.ops.append(monomial)
            monomial = _Monomial(np.arange(2**n), np.ones(2**n))
        if any(waiting):
            program.ops.append(_Singles(waiting))
            waiting = [[] for _ in range(n)]

    for number, gate in enumerate(circuit.gates):
        if len(gate.wires) == 1:
            waiting[gate.wires[0]].append(number)
            program.matrices |= {} if isinstance(gate.angle, Slot) else {number: fixed_matrix(gate)}
            continue
        control, target = gate.wires
        if waiting[control] or waiting[target] or gate.name in CONTROLLED_ROTATIONS:
            flush()
        bit_c, bit_t = _bit(n, control), _bit(n, target)
        if gate.name == "CNOT":
            flip = np.where(bit_c, np.arange(2**n) ^ (1 << (n - 1 - target)), np.arange(2**n))
            monomial = _Monomial(monomial.source[flip], monomial.sign[flip])
        elif gate.name == "CZ":
            monomial = _Monomial(monomial.source, monomial.sign * np.where(bit_c & bit_t, -1.0, 1.0))
        else:
            program.matrices |= {} if isinstance(gate.angle, Slot) else {number: fixed_matrix(gate)}
            program.ops.append(_Controlled(number, control, target))
    if circuit.measure in TO_Z:
        program.matrices[len(circuit.gates)] = TO_Z[circuit.measure]
        for run in waiting:
            run.append(len(circuit.gates))
    flush()
    if not circuit.amplitude and program.ops and isinstance(program.ops[0], _Singles):
        _take_product(circuit, program)
    return program


def _take_product(circuit: Circuit, program: _Program) -> None:
    """Move the gates up to the last one with an input from the first operation into the product state."""
    first = cast(_Singles, program.ops[0])
    for wire, run in enumerate(first.runs):
        with_input = [i for i, number in enumerate(run) if _is_input(circuit, number)]
        cut = with_input[-1] + 1 if with_input else 0
        program.product[wire], first.runs[wire] = run[:cut], run[cut:]
    if not any(first.runs):
        program.ops.pop(0)


def _is_input(circuit: Circuit, number: int) -> bool:
    angle = circuit.gates[number].angle if number < len(circuit.gates) else None
    return isinstance(angle, Slot) and angle.source == "input"


def _bit(n: int, wire: int) -> npt.NDArray[np.bool_]:
    """Value of a qubit in every basis state."""
    return (np.arange(2**n) >> (n - 1 - wire) & 1).astype(bool)


def z_signs(n: int) -> npt.NDArray[np.float64]:
    """(n, 2^n): +1 where the qubit is 0, -1 where it is 1."""
    return np.stack([1.0 - 2.0 * _bit(n, wire) for wire in range(n)])


def fixed_matrix(gate: Gate) -> Matrix:
    """2 x 2 matrix of a gate without a slot (of the target, where it is controlled)."""
    if gate.angle is None:
        return FIXED_MATRICES[gate.name]
    half = float(gate.angle) / 2 if not isinstance(gate.angle, Slot) else math.nan
    return math.cos(half) * FIXED_MATRICES["I"] - 1j * math.sin(half) * PAULI[gate.name[-1]]


class Statevector(nn.Module):
    """A circuit that maps inputs (B, C, n_inputs) and weights (C, n_weights) to outputs (B, C, n_outputs).

    Attributes:
        circuit: What is simulated.
    """

    signs: Tensor
    paulis: Tensor
    constants: Tensor
    weight_of: Tensor
    input_of: Tensor
    fused_runs: Tensor
    product_runs: Tensor

    def __init__(self, circuit: Circuit, *, dtype: torch.dtype = torch.complex64) -> None:
        super().__init__()
        self.circuit = circuit
        self.n, self.dim = circuit.n_qubits, 2**circuit.n_qubits
        self.program = compile_circuit(circuit)
        real = torch.empty(0, dtype=dtype).real.dtype
        # gate numbers -> rows of the table: identity, gates without slots, gates on weights, on inputs
        fixed = self.program.matrices
        slots = {k: g.angle for k, g in enumerate(circuit.gates) if isinstance(g.angle, Slot)}
        by_weight = [k for k, slot in slots.items() if slot.source == "weight"]
        by_input = [k for k, slot in slots.items() if slot.source == "input"]
        self.rows = {k: i for i, k in enumerate([-1, *fixed, *by_weight, *by_input])}
        self.n_const = 1 + len(fixed) + len(by_weight)
        eye = FIXED_MATRICES["I"]
        self.register_buffer(
            "constants", torch.tensor(np.stack([eye, *fixed.values()]), dtype=dtype), persistent=False
        )
        turned = by_weight + by_input
        axes = [-1j * PAULI[circuit.gates[k].name[-1]] for k in turned] or [eye]
        self.register_buffer("paulis", torch.tensor(np.stack(axes), dtype=dtype), persistent=False)
        self.register_buffer("signs", torch.tensor(z_signs(self.n), dtype=real), persistent=False)
        self.n_weight_gates, self.n_input_gates = len(by_weight), len(by_input)
        self._index("weight_of", [slots[k].index for k in by_weight])
        self._index("input_of", [slots[k].index for k in by_input])
        self.plain_weights = [slots[k].index for k in by_weight] == list(range(len(by_weight)))
        self.plain_inputs = [slots[k].index for k in by_input] == list(range(len(by_input)))
        self._lay_out()

    def _index(self, name: str, values: Sequence[int] | Indices) -> None:
        self.register_buffer(name, torch.as_tensor(np.array(values, np.int64)), persistent=False)

    def _padded(self, runs: Sequence[Sequence[int]]) -> Indices:
        """(depth, n_runs) rows of the table, identities at the end of short runs."""
        depth = max(map(len, runs))
        return np.array(
            [[self.rows[r[d]] if d < len(r) else 0 for r in runs] for d in range(depth)], np.int64
        ).reshape(depth, len(runs))

    def _lay_out(self) -> None:
        """Index tensors of the operations; layers without inputs are laid side by side."""
        self.steps: list[tuple[str, int]] = []  # kind and place among its kind
        fused: list[list[int]] = []
        self.n_fused = 0
        for k, op in enumerate(self.program.ops):
            if isinstance(op, _Monomial):
                self._index(f"source{k}", op.source)
                if (op.sign < 0).any():
                    sign = torch.tensor(op.sign, dtype=self.signs.dtype)[None, :, None]
                    self.register_buffer(f"sign{k}", sign, persistent=False)
                self.steps.append(("monomial", k))
            elif isinstance(op, _Controlled):
                self.steps.append(("controlled", k))
            elif any(_is_input(self.circuit, g) for run in op.runs for g in run):
                self._index(f"runs{k}", self._padded(op.runs))
                self.steps.append(("batched", k))
            else:
                fused += op.runs
                self.steps.append(("fused", self.n_fused))
                self.n_fused += 1
        if fused:
            self._index("fused_runs", self._padded(fused))
        self.has_product = any(self.program.product)
        if self.has_product:
            runs = self._padded(self.program.product)
            self._index("product_runs", runs)
            first = self.n_const
            self.plain_product = runs.tolist() == [list(range(first, first + self.n))] and self.plain_inputs
        controlled = [op for op in self.program.ops if isinstance(op, _Controlled)]
        later = any(kind == "batched" for kind, _ in self.steps)
        later |= any(_is_input(self.circuit, op.number) for op in controlled)
        self.needs_batch_table = later
        self.collapsed = self.n <= COLLAPSE and not later and bool(self.steps)

    # --- gates ---

    def _rotations(self, angles: Tensor, axes: Tensor) -> Tensor:
        """cos(a/2) 1 + sin(a/2) (-i P) for angles (..., k) and -i P (k, 2, 2): (..., k, 2, 2)."""
        half = (angles * 0.5)[..., None, None]
        return torch.cos(half) * self.constants[0] + torch.sin(half) * axes

    def tables(self, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Matrices without inputs (C, n_const, 2, 2) and on inputs (C, B, n_input_gates, 2, 2)."""
        n_circuits = len(weights)
        constant = self.constants.expand(n_circuits, -1, -1, -1)
        if self.n_weight_gates:
            angles = weights if self.plain_weights else weights[:, self.weight_of]
            gates = self._rotations(angles, self.paulis[: self.n_weight_gates])
            constant = torch.cat([constant, gates], 1)
        if not self.n_input_gates:
            return constant, constant[:, None, :0].expand(-1, len(x), -1, -1, -1)
        angles = x.transpose(0, 1)
        angles = angles if self.plain_inputs else angles[..., self.input_of]
        return constant, self._rotations(angles, self.paulis[self.n_weight_gates :])

    def gate_matrix(self, number: int, constant: Tensor, by_input: Tensor) -> Tensor:
        """One gate as (C, B or 1, 2, 2)."""
        row = self.rows[number]
        return constant[:, None, row] if row < self.n_const else by_input[:, :, row - self.n_const]

    # --- states ---

    def initial(self, x: Tensor, constant: Tensor, by_input: Tensor) -> Tensor:
        """(C, D, B), the state that the operations start from."""
        n_circuits, batch = len(constant), len(x)
        if self.circuit.amplitude:
            norm: Tensor = x.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
            return x.div(norm).permute(1, 2, 0).to(constant.dtype)
        if not self.has_product:
            state = constant.new_zeros(n_circuits, self.dim, batch)
            state[:, 0] = 1
            return state
        if self.plain_product:
            vectors = by_input[:, :, : self.n, :, 0]
        else:
            table = torch.cat([constant[:, None].expand(-1, batch, -1, -1, -1), by_input], 2)
            vectors = table[:, :, self.product_runs[0], :, 0]
            for row in self.product_runs[1:]:
                vectors = (table[:, :, row] @ vectors[..., None])[..., 0]
        return _kron_vectors(vectors).transpose(1, 2)

    def final_state(self, x: Tensor, weights: Tensor) -> Tensor:
        """(C, D, B) before the measurement, whose axis has been turned to Z."""
        x = x.to(self.signs.dtype)
        constant, by_input = self.tables(x, weights.to(self.signs.dtype))
        state = self.initial(x, constant, by_input)
        return self.evolve(state, constant, by_input) if self.steps else state

    def evolve(self, state: Tensor, constant: Tensor, by_input: Tensor) -> Tensor:
        """The operations on a state (C, D, B)."""
        layers: list[Tensor] = []
        if self.n_fused:
            fused = _chain(constant, self.fused_runs)
            fused = fused.unflatten(1, (self.n_fused, self.n))
            layers = [fused] if self.n > COLLAPSE else [_kron_matrices(fused)]
        if not self.collapsed:
            return self._run(state, layers, constant, by_input)
        kind, place = self.steps[0]
        if kind == "fused":
            unitary = self._run(layers[0][:, place], layers, constant, by_input, first=1)
        else:
            eye = torch.eye(self.dim, dtype=state.dtype, device=state.device)
            unitary = self._run(eye.expand(len(constant), -1, -1), layers, constant, by_input)
        return unitary @ state

    def _run(
        self, state: Tensor, layers: list[Tensor], constant: Tensor, by_input: Tensor, first: int = 0
    ) -> Tensor:
        for kind, k in self.steps[first:]:
            if kind == "fused":
                if self.n <= COLLAPSE:
                    state = layers[0][:, k] @ state
                else:
                    state = _apply_halves(state, layers[0][:, k])
            elif kind == "monomial":
                state = state.index_select(1, getattr(self, f"source{k}"))
                sign = getattr(self, f"sign{k}", None)
                state = state if sign is None else state * sign
            elif kind == "batched":
                table = torch.cat([constant[:, None].expand(-1, by_input.shape[1], -1, -1, -1), by_input], 2)
                gates = _chain(table.flatten(0, 1), getattr(self, f"runs{k}")).unflatten(0, table.shape[:2])
                turned = state.transpose(1, 2)[..., None].flatten(0, 1)
                state = _apply_halves(turned, gates.flatten(0, 1))
                state = state[..., 0].unflatten(0, table.shape[:2]).transpose(1, 2)
            else:
                op = cast(_Controlled, self.program.ops[k])
                gate = self.gate_matrix(op.number, constant, by_input)
                state = apply_gate(state, gate, self.n, op.target, op.control)
        return state

    def probabilities(self, x: Tensor, weights: Tensor) -> Tensor:
        """(C, D, B), of the basis states of the turned axes."""
        return torch.view_as_real(self.final_state(x, weights)).square().sum(-1)

    def outputs(self, probabilities: Tensor) -> Tensor:
        """(B, C, n_outputs) of probabilities (C, D, B)."""
        if self.circuit.measure != "probabilities":
            probabilities = self.signs @ probabilities
        return probabilities.permute(2, 0, 1)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Outputs (B, C, n_outputs)."""
        return self.outputs(self.probabilities(x, weights))


def apply_gate(state: Tensor, gate: Tensor, n: int, target: int, control: int | None = None) -> Tensor:
    """A matrix (C, B or 1, 2, 2) on one wire of a state (C, 2^n, B), perhaps where another wire is 1."""
    if control is not None:
        off, on = state.unflatten(1, (2**control, 2, -1)).unbind(2)
        shifted = target - (target > control)
        on = apply_gate(on.flatten(1, 2), gate, n - 1, shifted).view_as(off)
        return torch.stack([off, on], 2).flatten(1, 3)
    a0, a1 = state.unflatten(1, (2**target, 2, -1)).unbind(2)
    g = gate.permute(2, 3, 0, 1)[:, :, :, None, None]  # (2, 2, C, 1, 1, B or 1)
    return torch.stack([g[0, 0] * a0 + g[0, 1] * a1, g[1, 0] * a0 + g[1, 1] * a1], 2).flatten(1, 3)


def _chain(table: Tensor, runs: Tensor) -> Tensor:
    """Products (C, n_runs, 2, 2) of the rows (depth, n_runs) of a table (C, n, 2, 2); later ones left."""
    product = table.index_select(1, runs[0])
    for row in runs[1:]:
        product = table.index_select(1, row) @ product
    return product


def _kron_matrices(factors: Tensor) -> Tensor:
    """Kronecker product (..., 2^n, 2^n) of matrices (..., n, 2, 2), pairs side by side."""
    while (n := factors.shape[-3]) > 1:
        left, right = factors[..., 0 : n - 1 : 2, :, :], factors[..., 1:n:2, :, :]
        size = factors.shape[-1] ** 2
        pairs = left[..., :, None, :, None] * right[..., None, :, None, :]
        pairs = pairs.reshape(*pairs.shape[:-4], size, size)
        if n % 2 == 0:
            factors = pairs
        else:
            rest = _kron_matrices(pairs)
            last = factors[..., n - 1, :, :]
            both = rest[..., :, None, :, None] * last[..., None, :, None, :]
            width = rest.shape[-1] * last.shape[-1]
            return both.reshape(*both.shape[:-4], width, width)
    return factors[..., 0, :, :]


def _kron_vectors(factors: Tensor) -> Tensor:
    """Product state (..., 2^n) of the qubits' states (..., n, 2), pairs side by side."""
    while (n := factors.shape[-2]) > 1:
        pairs = (factors[..., 0 : n - 1 : 2, :, None] * factors[..., 1:n:2, None, :]).flatten(-2)
        if n % 2:
            return (_kron_vectors(pairs)[..., :, None] * factors[..., n - 1, None, :]).flatten(-2)
        factors = pairs
    return factors[..., 0, :]


def _apply_halves(state: Tensor, gates: Tensor) -> Tensor:
    """Gates (C, n, 2, 2) on a state (C, 2^n, B), as one matrix on either half of the wires."""
    half = gates.shape[1] // 2
    if half:
        top, bottom = _kron_matrices(gates[:, :half]), _kron_matrices(gates[:, half:])
        state = state.unflatten(1, (top.shape[-1], -1))
        state = (top @ state.flatten(2)).view_as(state)
        return (bottom[:, None] @ state).flatten(1, 2)
    return gates[:, 0] @ state
