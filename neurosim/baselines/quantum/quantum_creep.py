"""A linear network whose layers are swapped for quantum ones from the input on ("let the quantum creep in").

Level 0 is two convolutions and a linear layer without any activation. Level 1 swaps the convolutions for
"flipped" quanvolutions, which are convolutions with kernels Re(psi psi^+) of 2-qubit states psi. Level 2
swaps the linear layer for data re-uploading on 7 qubits, the network's first nonlinearity.
"""

import math
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from scipy.special import jv
from torch import Tensor, nn
from torch.nn import functional

from neurosim.baselines.base import BaselineConfig, Facts, NetworkBaseline, NetworkConfig, Operations
from neurosim.baselines.quantum.layer import QuantumConfig, only_our_simulator
from neurosim.baselines.quantum.noise import readout_errors, sampled
from neurosim.baselines.quantum.statevector import FIXED_MATRICES
from neurosim.baselines.training import TrainingConfig
from neurosim.errors import BaselineError

N_QUBITS = 7
SIDE = 32  # images are padded to it
PAULIS = np.stack([FIXED_MATRICES[name] for name in "IXYZ"])
SETTINGS = ("XX", "XZ", "ZX", "ZZ", "YY")  # bases in which two qubits are measured


class QuantumCreepConfig(NetworkConfig):
    """Keys of ``quantum_creep``.

    Attributes:
        level: How many kinds of layers are quantum: 0, 1 (convolutions) or 2 (the linear layer, too).
        n_reps: Re-uploads of the data; the authors take 10 in PyTorch, 1 in JAX.
        complex_params: Whether Pauli coefficients may become complex, as in the authors' PyTorch code: then
            the "gates" are not unitary, which is their 96.9 %.
        quantum: The quantum parts. ``no_entanglement`` keeps the one-qubit Pauli terms of every generator,
            ``linear`` is level 0, ``deleted`` a linear layer on the pixels, ``classical`` a head of 13
            hidden units.
    """

    training: TrainingConfig = TrainingConfig(epochs=50, batch_size=200, learning_rate=5e-4)
    level: Literal[0, 1, 2] = 2
    n_reps: int = Field(1, ge=1, le=100)
    complex_params: bool = False
    quantum: QuantumConfig = QuantumConfig()


def pauli_sum(coefficients: Tensor) -> Tensor:
    """sum_k c_k P_k over all Pauli words of n qubits, (..., 4^n) to (..., 2^n, 2^n), qubit by qubit.

    Word k is read in base 4 (I, X, Y, Z), qubit 0 first.
    """
    n = round(math.log(coefficients.shape[-1], 4))
    head = coefficients.shape[:-1]
    single = torch.tensor(PAULIS, dtype=torch.complex64, device=coefficients.device)
    state = coefficients.to(torch.complex64).reshape(*head, 1, 1, -1)  # rows, columns, words left
    for _ in range(n):
        rows, columns, words = state.shape[-3:]
        split = state.reshape(*head, rows, columns, 4, words // 4)
        state = torch.einsum("...rcpw,pij->...ricjw", split, single)
        state = state.reshape(*head, 2 * rows, 2 * columns, words // 4)
    return state[..., 0]


def one_qubit_words(n: int) -> list[int]:
    """Numbers of the Pauli words that act on at most one qubit, without the identity."""
    return [letter * 4**place for place in range(n) for letter in (1, 2, 3)]


class Generator(nn.Module):
    """Gates exp(i sum_k theta_k P_k) over Pauli words; ``may_drift`` if theta may become complex."""

    quantum = True
    mask: Tensor

    def __init__(self, shape: tuple[int, ...], n_qubits: int, config: QuantumCreepConfig) -> None:
        super().__init__()
        self.n_qubits = n_qubits
        self.may_drift = config.complex_params
        variant = config.quantum.variant
        words = one_qubit_words(n_qubits) if variant == "no_entanglement" else range(1, 4**n_qubits)
        self.register_buffer("words", torch.tensor(list(words)), persistent=False)
        spread = 1 / math.sqrt(2**n_qubits)
        theta = spread * torch.randn(*shape, len(words))
        if config.complex_params:
            theta = theta.to(torch.complex64)
        self.theta = nn.Parameter(theta, requires_grad=variant != "frozen")

    def forward(self) -> Tensor:
        """Matrices (..., 2^n, 2^n)."""
        full = self.theta.new_zeros(*self.theta.shape[:-1], 4**self.n_qubits)
        full = full.index_copy(-1, self.words, self.theta)  # type: ignore[arg-type]
        gates: Tensor = torch.linalg.matrix_exp(1j * pauli_sum(full))
        return gates

    def unitarity_error(self) -> float:
        """Largest entry of |U^+ U - 1|."""
        with torch.no_grad():
            u = self()
            eye = torch.eye(u.shape[-1], device=u.device)
            return float((u.mH @ u - eye).abs().max())


def tomography() -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.float64]]:
    """Projectors (5, 4, 4, 4) on the outcomes of ``SETTINGS``, and what each adds to Re rho.

    Re rho = sum_w <w> w / 4 over the ten real words w of two qubits, and sum_(s, x) p(s, x) estimators[s, x].
    A word is seen in every setting that has its letters, and the mean is taken.
    """
    projectors, estimators = np.zeros((5, 4, 4, 4), complex), np.zeros((5, 4, 4, 4))
    for s, setting in enumerate(SETTINGS):
        halves = [[np.eye(2) + sign * FIXED_MATRICES[letter] for sign in (1, -1)] for letter in setting]
        projectors[s] = [np.kron(a, b) / 4 for a, b in product(*halves)]
    for word in ("II", "IX", "IZ", "XI", "ZI", *SETTINGS):
        seen = [s for s, setting in enumerate(SETTINGS) if all(map(_reads, setting, word))]
        values = np.kron(*([1, 1] if letter == "I" else [1, -1] for letter in word))
        matrix = np.kron(*(FIXED_MATRICES[letter] for letter in word)).real / (4 * len(seen))
        estimators[seen] += values[:, None, None] * matrix
    return projectors, estimators


def _reads(basis: str, letter: str) -> bool:
    return letter in ("I", basis)


class FlippedQuanv(nn.Module):
    """3 x 3 quanvolution: mean over inputs of <psi|H|psi>, H the symmetrised, padded patch; plus a bias.

    It is a convolution with the kernels Re(psi psi^+)[:3, :3] / n_in: symmetric, and of rank two at most. The
    states do not depend on the image: a device measures each in the five settings of ``SETTINGS``, ``shots``
    times each, and all patches of an image share what was found.
    """

    projectors: Tensor
    estimators: Tensor

    def __init__(self, n_in: int, n_out: int, config: QuantumCreepConfig) -> None:
        super().__init__()
        self.gates = Generator((n_out, n_in), 2, config)
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.config = config.quantum
        projectors, estimators = tomography()
        self.register_buffer("projectors", torch.tensor(projectors, dtype=torch.complex64), persistent=False)
        self.register_buffer("estimators", torch.tensor(estimators, dtype=torch.float32), persistent=False)

    def kernels(self) -> Tensor:
        """(n_out, n_in, 3, 3)."""
        psi = self.gates()[..., 0]
        outer = psi[..., :, None] * psi[..., None, :].conj()
        mix = 4 * self.config.noise.depolarising / 3  # of both qubits after the gate
        if mix:
            rho = outer.unflatten(-1, (2, 2)).unflatten(-3, (2, 2))  # (..., a, b, a', b')
            eye = torch.eye(2, device=rho.device) / 2
            left = torch.einsum("...ibic->...bc", rho)
            rho = (1 - mix) * rho + mix * torch.einsum("ac,...bd->...abcd", eye, left)
            right = torch.einsum("...aibi->...ab", rho)
            rho = (1 - mix) * rho + mix * torch.einsum("...ac,bd->...abcd", right, eye)
            outer = rho.flatten(-4, -3).flatten(-2)
        real = outer.real
        if self.config.shots or self.config.noise.readout_error:
            p = torch.einsum("sxij,...ji->...sx", self.projectors, outer).real
            flat = p.reshape(-1, 4).T[None]
            p = readout_errors(flat, self.config.noise.readout_error)[0].T.view_as(p)
            if self.config.shots:
                p = sampled(p, self.config.shots)
            real = torch.einsum("...sx,sxij->...ij", p, self.estimators)
        kernels: Tensor = real[..., :3, :3] / psi.shape[1]
        return kernels

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_out, h - 2, w - 2) of (B, n_in, h, w)."""
        return functional.conv2d(x, self.kernels(), self.bias)

    def work(self, x: Tensor, out: Tensor) -> Operations:
        """A circuit of one 2-qubit gate per pair of channels and setting."""
        n = len(self.bias) * x.shape[1] * len(SETTINGS)
        return Operations(0, n, {"SU(4)": n}, 1, n * (self.config.shots or 0))


class Reupload(nn.Module):
    """Logits of x from 7 qubits: |+>, then n_reps times exp(i M / n_reps) and a gate of SU(128).

    M is x, padded and folded to 128 x 128, symmetrised. Logits are the probabilities of the first basis
    states plus a bias.
    """

    def __init__(self, n_in: int, n_classes: int, config: QuantumCreepConfig) -> None:
        super().__init__()
        if n_in > 4**N_QUBITS or n_classes > 2**N_QUBITS:
            raise BaselineError(
                f"quantum_creep: {n_in} features and {n_classes} classes; seven qubits hold {4**N_QUBITS} "
                f"and {2**N_QUBITS}: take smaller images"
            )
        self.gates = Generator((config.n_reps,), N_QUBITS, config)
        self.bias = nn.Parameter(torch.zeros(n_classes))
        self.config = config.quantum

    def probabilities(self, x: Tensor) -> Tensor:
        """Probabilities (B, 128) of the basis states."""
        dim, n_reps = 2**N_QUBITS, len(self.gates.theta)
        folded = functional.pad(x, (0, dim * dim - x.shape[1])).view(-1, dim, dim)
        m = (folded + folded.mT) / (2 * n_reps)
        state = torch.full((len(x), dim), 1 / math.sqrt(dim), dtype=torch.complex64, device=x.device)
        for gate in self.gates():
            state = evolve(m, state) @ gate.T
        p = torch.view_as_real(state).square().sum(-1)
        if noise := self.config.noise.depolarising:
            keep = (1 - noise) ** n_reps  # the whole register is hit once per gate
            p = keep * p + (1 - keep) / dim
        return readout_errors(p.T[None], self.config.noise.readout_error)[0].T

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, n_classes)."""
        p = self.probabilities(x)
        if self.config.shots:
            p = sampled(p, self.config.shots)
        return p[:, : len(self.bias)] + self.bias

    def work(self, x: Tensor, out: Tensor) -> Operations:
        """One circuit."""
        n_reps = len(self.gates.theta)
        gates = {"SU(128)": n_reps, "exp(iM)": n_reps}
        return Operations(0, len(x), gates, 2 * n_reps, len(x) * (self.config.shots or 0))


def evolve(m: Tensor, state: Tensor) -> Tensor:
    """exp(i M) psi for real symmetric M (B, d, d), by Chebyshev polynomials.

    exp(i M) = sum_k (2 - [k = 0]) i^k J_k(r) T_k(M / r) with r at least the norm of M, here from
    |M|_2 <= |M^4|_F^(1/4). The sum ends where the Bessel functions have vanished in single precision.
    """
    with torch.no_grad():
        square = m @ m
        r = math.ceil(float((square @ square).norm(dim=(1, 2)).max() ** 0.25) + 1e-6)
        if r > 2000:
            raise BaselineError(
                f"quantum_creep: features of norm {r}; scale the images or lower the learning rate"
            )
    bessel = jv(np.arange(r + 20 + 3 * math.ceil(r ** (1 / 3))), r)
    last = int(np.nonzero(np.abs(bessel) > 1e-9)[0][-1]) + 1
    weights = np.array([1, 1, -1, -1])[np.arange(last) % 4] * np.where(np.arange(last), 2, 1) * bessel[:last]
    parts = torch.view_as_real(state).mT  # real M acts on real and imaginary parts alike
    even, odd = Chebyshev.apply(m / r, parts, torch.from_numpy(weights).to(m))  # type: ignore[no-untyped-call]
    return torch.complex(even[:, 0] - odd[:, 1], even[:, 1] + odd[:, 0])


class Chebyshev(torch.autograd.Function):
    """sum_k w_k T_k(M) v of symmetric M (B, d, d) and rows v (B, n, d), over even and over odd k.

    The gradient of M is one product of all T_k with their adjoints, instead of one per k.
    """

    @staticmethod
    def forward(ctx: Any, m: Tensor, v: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Both sums (B, n, d)."""
        terms = v.new_empty(len(weights), *v.shape)
        terms[0] = v
        torch.bmm(v, m, out=terms[1])
        for k in range(2, len(weights)):
            torch.baddbmm(terms[k - 2], terms[k - 1], m, beta=-1, alpha=2, out=terms[k])
        ctx.save_for_backward(m, terms, weights)
        return tuple(torch.tensordot(weights[p::2], terms[p::2], 1) for p in (0, 1))

    @staticmethod
    def backward(ctx: Any, even: Tensor, odd: Tensor) -> tuple[Tensor, Tensor, None]:
        """Gradients of M and of v."""
        m, terms, weights = ctx.saved_tensors
        adjoint = torch.empty_like(terms)
        for p, gradient in enumerate((even, odd)):
            adjoint[p::2] = weights[p::2, None, None, None] * gradient
        for k in range(len(weights) - 2, -1, -1):
            adjoint[k].baddbmm_(adjoint[k + 1], m, alpha=2 if k else 1)
            if k + 2 < len(weights):
                adjoint[k] -= adjoint[k + 2]
        adjoint[2:] *= 2
        of_m = terms[:-1].permute(1, 3, 0, 2).flatten(2) @ adjoint[1:].transpose(0, 1).flatten(1, 2)
        return of_m, adjoint[0], None


class Pad(nn.Module):
    """Images padded to 32 x 32 and brought to [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, c, 32, 32)."""
        height, width = x.shape[-2:]
        top, left = (SIDE - height) // 2, (SIDE - width) // 2
        return functional.pad(x, (left, SIDE - width - left, top, SIDE - height - top)) * 2 - 1


class QuantumCreep(NetworkBaseline):
    """Levels 0, 1, 2 of the layer-by-layer swap."""

    name = "quantum_creep"
    Config: ClassVar[type[BaselineConfig]] = QuantumCreepConfig
    tuned = (("training.learning_rate", 0.0002, 0.005),)
    kind = "image"
    facts = Facts(
        title="linear network whose layers become quantum ones, levels 0, 1, 2",
        paper="Wang, Myers, Hollenberg, Parampalli, Let the Quantum Creep In, 2024",
        source="arXiv:2409.17583; code and results: github.com/peiyong-addwater/Let-The-Quantum-Creep-In",
        headline="MNIST 92.3, 92.3 and 96.9 % for levels 0, 1 and 2",
        reproduced="architectures (130,394, 133,658 and, with n_reps = 10, 172,048 parameters), Adam at "
        "5e-4, batch 200",
        differs="the published level 2 is not unitary: parameters were stored as complex numbers and drifted "
        "(complex_params = true does the same); here they are real and unitarity is asserted after every "
        "epoch. Level 1 is a convolution with symmetric kernels, still linear. n_reps is 1 here, as in the "
        "authors' JAX code (94.5 %). Depolarising of seven qubits hits the whole register",
    )

    def network(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """The network for images of at most 32 x 32 pixels."""
        config = self.settings
        if max(shape[1:]) > SIDE:
            raise BaselineError(f"quantum_creep: images of {shape[1]} x {shape[2]}; at most 32 x 32 fit")
        only_our_simulator(config.quantum, self.name)
        if config.quantum.noise.amplitude_damping:
            raise BaselineError("quantum_creep: no amplitude damping of its gates; take depolarising")
        variant = config.quantum.variant
        level = config.level if variant in ("full", "no_entanglement", "frozen") else 0
        if variant == "deleted":
            return nn.Sequential(Pad(), nn.Flatten(), nn.Linear(shape[0] * SIDE * SIDE, n_classes))
        layers: list[nn.Module] = [Pad()]
        for n_in, n_out in ((shape[0], 32), (32, 16)):
            layers.append(nn.Conv2d(n_in, n_out, 3) if level == 0 else FlippedQuanv(n_in, n_out, config))
        flat = 16 * (SIDE - 4) ** 2
        head: nn.Module = nn.Linear(flat, n_classes) if level < 2 else Reupload(flat, n_classes, config)
        if variant == "classical":
            head = nn.Sequential(nn.Linear(flat, 13), nn.ReLU(), nn.Linear(13, n_classes))
        return nn.Sequential(*layers, nn.Flatten(), head)
