"""Quantum transfer learning: an autoencoder's features, five qubits, a dense network on 32 probabilities."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn import functional

from neurosim.baselines.base import BaselineConfig, Facts, n_trained
from neurosim.baselines.quantum.circuit import Circuit, Gate, Slot, angle_embedding, cnot_ring
from neurosim.baselines.quantum.hybrid import Hybrid, HybridConfig, dense, widest
from neurosim.baselines.quantum.layer import quantum_layer
from neurosim.baselines.training import Progress, TrainingConfig, as_float, outputs

N_QUBITS, N_LATENT = 5, 64
WIDTHS = (128, 64)  # of the dense network
DROPOUT = 0.3


class QuantumTransferConfig(HybridConfig):
    """Keys of ``quantum_transfer``.

    Attributes:
        version: Of the paper. 2: five principal components of the 64 features. 1: all 64, in 13 blocks of
            five qubits by turns of RX and RZ (how they enter the five qubits is not public; this is ours).
        autoencoder_epochs: Passes that train the autoencoder.
        hidden: Width of its hidden layers.
        twin: What the ``classical`` variant reads: the 64 ``latent`` features (the paper's own comparison)
            or the five ``components`` (the fair one).
    """

    training: TrainingConfig = TrainingConfig(epochs=20, batch_size=128)
    version: Literal[1, 2] = 2
    autoencoder_epochs: int = Field(10, ge=1)
    hidden: int = Field(128, ge=1)
    twin: Literal["latent", "components"] = "latent"


class Autoencoder(nn.Module):
    """x -> ReLU hidden -> 64 features -> ReLU hidden -> x, in 0..1."""

    def __init__(self, n: int, hidden: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(n, hidden), nn.ReLU(), nn.Linear(hidden, N_LATENT)
        )
        self.decoder = nn.Sequential(
            nn.Linear(N_LATENT, hidden), nn.ReLU(), nn.Linear(hidden, n), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction (B, n)."""
        out: Tensor = self.decoder(self.encoder(x))
        return out


class Rescale(nn.Module):
    """A linear map and then every feature from its range on the training part to [0, pi]."""

    matrix: Tensor
    mean: Tensor
    low: Tensor
    span: Tensor

    def __init__(self, matrix: Tensor, mean: Tensor, z: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)
        self.register_buffer("mean", mean)
        projected = (z - mean) @ matrix
        self.register_buffer("low", projected.amin(0))
        self.register_buffer("span", (projected.amax(0) - projected.amin(0)).clamp_min(1e-12))

    def forward(self, z: Tensor) -> Tensor:
        """Angles [rad] of features (B, 64)."""
        return (((z - self.mean) @ self.matrix - self.low) / self.span).clamp(0, 1) * math.pi


class QuantumTransfer(Hybrid):
    """Frozen features as rotation angles, H, a CNOT cascade, 32 probabilities, a dense network."""

    name = "quantum_transfer"
    Config: ClassVar[type[BaselineConfig]] = QuantumTransferConfig
    facts = Facts(
        title="autoencoder features on five qubits, dense network on 32 probabilities",
        paper="Sarkar, Quantum Transfer Learning for MNIST Classification Using a Hybrid Quantum-Classical "
        "Approach, 2024 (v1), 2025 (v2)",
        source="arXiv:2408.03351 (abstracts of both versions; no public code)",
        headline="v2: about 75 % (hybrid) against about 98 % (network on the 64 features)",
        reproduced="v2: autoencoder 784-64, PCA to 5, RY, H, CNOT cascade, 32 probabilities, network with "
        "batch normalisation and dropout",
        differs="hidden widths, which qubit has the H, and rates are not public. No quantum part is trained, "
        "and CNOTs before a read-out in the basis only permute the 32 probabilities: entanglement cannot "
        "matter. The loss is that of 64 -> 5 features: twin = 'components' says so. v1's embedding is ours",
    )

    @classmethod
    def circuit(cls, version: int = 2) -> Circuit:
        """RY(x) on every qubit, H on qubit 0, CNOT cascade; version 1 in 13 blocks."""
        end = (Gate("H", (0,)), *cnot_ring(N_QUBITS)[:-1])
        if version == 2:
            return Circuit(N_QUBITS, angle_embedding(N_QUBITS, "RY") + end, "probabilities")
        gates: list[Gate] = []
        for block in range(-(-N_LATENT // N_QUBITS)):
            for q in range(min(N_QUBITS, N_LATENT - block * N_QUBITS)):
                gates.append(Gate("RZ" if block % 2 else "RX", (q,), Slot("input", block * N_QUBITS + q)))
            gates += end
        return Circuit(N_QUBITS, tuple(gates), "probabilities")

    def _features(self, x: Tensor, progress: Progress | None) -> nn.Module:
        settings = self.settings
        scale = 1.0 if x.dtype == torch.uint8 else float(x.amax().clamp_min(1e-12))  # sigmoids reach 1
        net = Autoencoder(x[0].numel(), settings.hidden).to(x.device)
        optimizer = torch.optim.Adam(net.parameters(), 1e-3)
        for epoch in range(settings.autoencoder_epochs):
            for which in torch.randperm(len(x)).to(x.device).split(128):
                pixels = as_float(x[which]) / scale
                loss = functional.mse_loss(net(pixels), pixels.flatten(1))
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
            if progress:
                progress("autoencoder", epoch + 1, settings.autoencoder_epochs)
        encoder = nn.Sequential(_Divide(scale), net.encoder)
        z = outputs(encoder, x)
        five = settings.version == 2 and not (
            settings.quantum.variant == "classical" and settings.twin == "latent"
        )
        if five:
            pca = PCA(N_QUBITS, random_state=0).fit(z.cpu().numpy())
            matrix, mean = torch.from_numpy(pca.components_.T), torch.from_numpy(pca.mean_)
        else:
            matrix, mean = torch.eye(N_LATENT), torch.zeros(N_LATENT)
        return nn.Sequential(encoder, Rescale(matrix.to(z), mean.to(z), z))

    def network(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """The part that is trained with labels, on angles."""
        settings = self.settings
        layer = quantum_layer(self.circuit(settings.version), settings.quantum)
        if settings.quantum.variant == "classical":
            full = dense((2**N_QUBITS, *WIDTHS, n_classes), dropout=DROPOUT)
            return widest(
                lambda width: dense((shape[0], width, WIDTHS[1], n_classes), dropout=DROPOUT), n_trained(full)
            )
        return nn.Sequential(layer, dense((layer.n_outputs, *WIDTHS, n_classes), dropout=DROPOUT))


class _Divide(nn.Module):
    """x / scale."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x / self.scale
