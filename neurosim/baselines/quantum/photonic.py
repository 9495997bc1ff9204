"""Photonic classifiers of the Perceval challenge: its starter annotation and a trained interferometer."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from neurosim.baselines.base import (
    BaselineConfig,
    Facts,
    NetworkBaseline,
    NetworkConfig,
    Operations,
)
from neurosim.baselines.quantum.layer import QuantumConfig, only_our_simulator
from neurosim.baselines.quantum.noise import sampled
from neurosim.baselines.quantum.slos import Slos, mesh, n_cells
from neurosim.baselines.training import Progress, TrainingConfig
from neurosim.errors import BaselineError

STARTER_MODES, STARTER_INPUTS = 30, (0, 15)
QNN_MODES, QNN_INPUTS = 10, (0, 2, 4, 6, 8)
HIDDEN = 32  # of the classical control


class PhotonicConfig(NetworkConfig):
    """Keys of ``photonic``.

    Attributes:
        model: ``qnn``: trained scales, mesh, data phases, mesh, linear layer; ``starter``: a fixed mesh
            whose phases are the pixels, its two-photon coincidences beside the pixels, one linear layer.
        transmittance: Share of the photons that reach a detector; shots with a loss are thrown away [1].
        quantum: The optical part. ``no_entanglement``: distinguishable photons, which do not interfere;
            ``linear``: a linear map and tanh to as many numbers as the meshes have weights allow;
            ``deleted``: a linear layer on the pixels; ``classical``: the challenge's network 784-32-10. Gate
            noise has no meaning here.
    """

    training: TrainingConfig = TrainingConfig(
        epochs=10, batch_size=64, learning_rate=0.05, betas=(0.8, 0.999)
    )
    model: Literal["qnn", "starter"] = "qnn"
    transmittance: float = Field(1.0, gt=0, le=1)
    quantum: QuantumConfig = QuantumConfig()


class _Optical(nn.Module):
    """What both models share: probabilities to frequencies, and the work."""

    def __init__(self, config: PhotonicConfig, n_modes: int, inputs: tuple[int, ...]) -> None:
        super().__init__()
        self.slos = Slos(n_modes, inputs)
        self.config = config.quantum
        self.distinguishable = config.quantum.variant == "no_entanglement"
        self.transmittance = config.transmittance

    def measured(self, probabilities: Tensor) -> Tensor:
        """Frequencies of the shots, or the probabilities."""
        return sampled(probabilities, self.config.shots) if self.config.shots else probabilities

    def once(self, n: int, gates: dict[str, int], depth: int) -> Operations:
        """Each of n samples through the interferometer; shots with a lost photon have to be taken again."""
        photons = len(self.slos.inputs)
        kept = self.transmittance**photons
        shots = math.ceil((self.config.shots or 0) / kept) * n
        return Operations(0, n, gates, depth, shots, kept, photons)


class PhotonicQnn(_Optical):
    """Meshes W1 and W2 with the scaled pixels as phases between them: (B, n) to (B, 2002).

    Phases on one mode add up: the pixels reach the chip as ten sums.
    """

    quantum = True

    def __init__(self, n_inputs: int, config: PhotonicConfig) -> None:
        super().__init__(config, QNN_MODES, QNN_INPUTS)
        cells = n_cells(QNN_MODES)
        trained = config.quantum.variant != "frozen"
        self.scale = nn.Parameter(torch.rand(n_inputs), requires_grad=trained)
        self.first = nn.Parameter(2 * math.pi * torch.rand(2, cells, 2), requires_grad=trained)
        self.second = nn.Parameter(2 * math.pi * torch.rand(cells, 2), requires_grad=trained)

    def phases(self, x: Tensor) -> Tensor:
        """Sum (B, 10) of the scaled pixels on every mode [rad]."""
        scaled = nn.functional.pad(x * self.scale, (0, -x.shape[1] % QNN_MODES))
        sums: Tensor = scaled.unflatten(1, (-1, QNN_MODES)).sum(1)
        return sums

    def unitaries(self, x: Tensor) -> Tensor:
        """Columns (B, 10, 5) of the photons' modes."""
        phi = self.phases(x)
        first = mesh(self.first[0], self.first[1], QNN_MODES)[:, list(self.slos.inputs)]
        half = torch.full_like(self.second, math.pi / 2)
        second = mesh(half, self.second, QNN_MODES)
        return second @ (torch.complex(torch.cos(phi), torch.sin(phi))[:, :, None] * first)

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities of the 2,002 Fock states."""
        return self.measured(self.slos(self.unitaries(x), distinguishable=self.distinguishable))

    def unitarity_error(self) -> float:
        """Largest entry of |A^+ A - 1| of the columns of random inputs."""
        with torch.no_grad():
            a = self.unitaries(torch.rand(4, len(self.scale), device=self.scale.device))
            return float((a.mH @ a - torch.eye(a.shape[-1], device=a.device)).abs().max())

    def work(self, x: Tensor, out: Tensor) -> Operations:
        """One interferometer."""
        gates = {"beam splitter": 4 * n_cells(QNN_MODES), "phase": 4 * n_cells(QNN_MODES) + QNN_MODES}
        return self.once(len(x), gates, 2 * QNN_MODES + 1)


class StarterAnnotation(_Optical):
    """Pixels times 2 pi as the first phases of a mesh of 30 modes, two photons: (B, n) to (B, n + 435).

    Threshold detectors see two clicks; the 435 probabilities are given that.
    """

    def __init__(self, n_inputs: int, config: PhotonicConfig) -> None:
        super().__init__(config, STARTER_MODES, STARTER_INPUTS)
        if n_inputs > 2 * n_cells(STARTER_MODES):
            raise BaselineError(f"photonic starter: {n_inputs} pixels, but the mesh has 870 phases")
        self.register_buffer("apart", torch.from_numpy(self.slos.states.max(1) == 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The pixels and the probabilities beside them."""
        phi = nn.functional.pad(2 * math.pi * x, (0, 2 * n_cells(STARTER_MODES) - x.shape[1]))
        phi = phi.unflatten(1, (-1, 2))
        half = torch.full_like(phi, math.pi / 2)
        columns = mesh(half, phi, STARTER_MODES)[:, :, list(self.slos.inputs)]
        p = self.slos(columns, distinguishable=self.distinguishable)[:, self.apart]
        p = p / p.sum(1, keepdim=True).clamp_min(1e-12)
        return torch.cat([x, self.measured(p)], 1)

    def work(self, x: Tensor, out: Tensor) -> Operations:
        """One interferometer."""
        cells = n_cells(STARTER_MODES)
        return self.once(len(x), {"beam splitter": 2 * cells, "phase": 2 * cells}, STARTER_MODES)


class Photonic(NetworkBaseline):
    """The challenge's task: 6,000 training and 600 validation images, ten digits."""

    name = "photonic"
    Config: ClassVar[type[BaselineConfig]] = PhotonicConfig
    tuned = (("training.learning_rate", 0.005, 0.1),)
    facts = Facts(
        title="photons in interferometers: the Perceval challenge's starter and a trained one",
        paper="Notton et al., Establishing baselines for photonic quantum machine learning: insights from an "
        "open collaborative initiative, 2025",
        source="arXiv:2510.25839; code: github.com/Quandela/HybridAIQuantum-Challenge",
        headline="no heuristic quantum advantage is observed (64 teams; 6,000 and 600 images)",
        reproduced="starter annotation (30 modes, 2 photons, 435 coincidences beside 784 pixels) and "
        "photonic_qNN (10 modes, 5 photons, 21,084 parameters with its linear layer), with their linear and "
        "network controls",
        differs="the challenge's images are not public in one piece: take a stratified 6,000/600 of MNIST. "
        "Angles of its meshes are ours. Batches of 64 instead of 1 for the starter. The published value is a "
        "running mean of batches at the best epoch; ours is the accuracy of the chosen epoch. All 784 pixels "
        "reach the trained chip as ten sums of phases",
    )

    kind = "vector"

    def _features(self, x: Tensor, progress: Progress | None) -> nn.Module | None:
        """The starter's optical part has no weights: it is run once per image."""
        config = self.settings
        if config.model == "starter" and config.quantum.variant in ("full", "no_entanglement", "frozen"):
            return StarterAnnotation(x.shape[1], config).to(x.device)
        return None

    def network(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """What is trained."""
        config = self.settings
        only_our_simulator(config.quantum, self.name)
        noise = config.quantum.noise
        if noise.of_gates or noise.readout_error:
            raise BaselineError(
                "photonic: gate and readout noise have no meaning for photons; take transmittance"
            )
        (n,) = shape
        match config.quantum.variant:
            case "classical":
                return nn.Sequential(nn.Linear(n, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, n_classes))
            case "linear" if config.model == "qnn":
                return nn.Sequential(nn.Linear(n, QNN_MODES), nn.Tanh(), nn.Linear(QNN_MODES, n_classes))
            case "linear" | "deleted":
                return nn.Linear(n, n_classes)
        if config.model == "starter":
            return nn.Linear(n, n_classes)
        optical = PhotonicQnn(n, config)
        return nn.Sequential(optical, nn.Linear(len(optical.slos.states), n_classes))

    @classmethod
    def drawing(cls) -> str:
        """The two meshes as text."""
        photons = "".join("1" if mode in QNN_INPUTS else "0" for mode in range(QNN_MODES))
        return (
            f"|{photons}⟩ ── W1 (45 cells: BS PS BS PS) ── PS(scale_i x_i) on mode i mod 10 ── W2 (45 cells) "
            f"── "
            "2,002 Fock probabilities"
        )
