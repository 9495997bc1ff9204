"""A recurrent network of quantum neurons with amplitude amplification and post-selection.

All amplitudes are real. A cell has I/O lanes, which hold a symbol, and workspace lanes, which remember. A
neuron on lane o turns it by an angle that the other lanes' bits x choose,

    e(x) = pi/2 + theta + sum_I phi_I prod_(i in I) x_i,     I subsets of at most ``degree`` lanes,
    |0> -> c |0> + s |1>,  |1> -> -s |0> + c |1>,  c = cos(e/2)^(2^k), s = sin(e/2)^(2^k),  k = ``order``,

and the state is normalised again, as the post-selection of its ancillas does. A step writes the symbol into
the I/O lanes, sends the workspace through neurons and RY gates, clears the I/O lanes, turns them by neurons
that listen to the workspace, and measures them.

While the workspace turns, the I/O lanes hold one symbol, and while they turn, the workspace only controls.
So a step is v -> G[t] * (A[x] v) with a matrix A per symbol read and a diagonal G per symbol written, both
made once per step of training.
"""

import math
from itertools import combinations
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn import functional

from neurosim.baselines.base import BaselineConfig, Facts, NetworkBaseline, NetworkConfig, Operations
from neurosim.baselines.quantum.hybrid import widest
from neurosim.baselines.quantum.layer import QuantumConfig, only_our_simulator
from neurosim.baselines.quantum.noise import readout_errors, sampled
from neurosim.baselines.quantum.quantum_transfer import Rescale
from neurosim.baselines.training import Progress, TrainingConfig, as_float
from neurosim.errors import BaselineError

COMPILED = 2048  # most rows of all A together that are multiplied out


class CellConfig(NetworkConfig):
    """Keys of a cell.

    Attributes:
        n_bits: I/O lanes.
        workspace: Workspace lanes.
        stages: Rounds of RY gates and neurons.
        order: Amplifications k of a neuron.
        degree: Most lanes in a product.
        start: Mean of theta at the start [rad]; -pi/2 leaves lanes alone that no bit turns, which keeps
            memory over many steps (the authors start at 0).
        start_out: The same of the neurons that turn the I/O lanes; a little more than -pi/2, so that they
            write a 1 once in some thousand steps: a label that is never written has no gradient.
        coupling: Mean of phi at the start [rad]. A neuron's angle is a sum of up to some fifty of them: with
            the authors' 1, or with a wide spread, it starts all over the circle and training stalls.
        spread: Standard deviation of all angles at the start, RY angles around 0 [rad].
    """

    n_bits: int = Field(2, ge=1, le=6)
    workspace: int = Field(8, ge=1, le=12)
    stages: int = Field(2, ge=0, le=10)
    order: int = Field(2, ge=0, le=6)
    degree: int = Field(2, ge=1, le=4)
    start: float = Field(-math.pi / 2, ge=-math.pi, le=math.pi)
    start_out: float = Field(-0.8, ge=-math.pi, le=math.pi)
    coupling: float = Field(0.0, ge=-math.pi, le=math.pi)
    spread: float = Field(0.05, ge=0, le=10)


class QrnnConfig(CellConfig):
    """Keys of ``qrnn``.

    Attributes:
        side: Images are averaged down to side x side pixels of 2^n_bits grey levels, read one by one.
        components: Read this many principal components in 2^n_bits levels instead of pixels (the authors: 8
            of 3 bits); None: pixels.
        keep: Weight in the loss of -log p per step, p the probability of the zeros that are post-selected
            before the label; without it training finds states that are hardly ever measured, and forgets.
        trajectories: Noisy runs over which a prediction is averaged.
        quantum: The cell. ``no_entanglement``: workspace neurons listen to the input only; ``frozen``: only
            the output neurons are trained; ``linear``: a linear recurrence and tanh; ``deleted``: a linear
            layer on the pixels; ``classical``: a GRU of as many parameters. Depolarising hits every
            workspace lane once per step.
    """

    training: TrainingConfig = TrainingConfig(
        epochs=10,
        batch_size=16,
        optimizer="adamw",
        learning_rate=0.01,
        schedule="cosine",
        clip=0.5,
        loss="log_likelihood",
    )
    side: int = Field(10, ge=2, le=28)
    components: int | None = Field(None, ge=1, le=100)
    keep: float = Field(0.1, ge=0)
    trajectories: int = Field(8, ge=1)
    quantum: QuantumConfig = QuantumConfig()


class Cell(nn.Module):
    """The neurons, and sequences through them."""

    quantum = True
    subsets: Tensor
    mask: Tensor

    def __init__(self, config: CellConfig, *, entangled: bool = True) -> None:
        super().__init__()
        self.config = config
        n_io, ws = config.n_bits, config.workspace
        n_sources = n_io + ws - 1
        chosen = [i for d in range(1, config.degree + 1) for i in combinations(range(n_sources), d)]
        bits = np.arange(2**n_sources)[:, None] >> np.arange(n_sources - 1, -1, -1) & 1
        table = np.stack([bits[:, list(subset)].prod(1) for subset in chosen], 1)
        self.register_buffer("subsets", torch.tensor(table, dtype=torch.float32), persistent=False)
        self.n_inner = ws * (1 + config.stages)
        mask = torch.ones(self.n_inner + n_io, len(chosen))
        if not entangled:  # the first n_io sources of a workspace neuron are the I/O lanes
            mask[: self.n_inner] = torch.tensor([float(max(subset) < n_io) for subset in chosen])
        self.register_buffer("mask", mask, persistent=False)
        self.theta = nn.Parameter(torch.full((self.n_inner,), config.start))
        self.phi = nn.Parameter(torch.full((self.n_inner, len(chosen)), config.coupling))
        self.theta_out = nn.Parameter(torch.full((n_io,), config.start_out))
        self.phi_out = nn.Parameter(torch.full((n_io, len(chosen)), config.coupling))
        self.turns = nn.Parameter(torch.zeros(config.stages, ws))
        with torch.no_grad():
            for weights in self.parameters():
                weights.add_(config.spread * torch.randn_like(weights))

    def amplitudes(self) -> tuple[Tensor, Tensor]:
        """C and s (n_neurons, 2^sources) of all neurons."""
        phi = torch.cat([self.phi, self.phi_out]) * self.mask
        half = (math.pi / 2 + torch.cat([self.theta, self.theta_out])[:, None] + phi @ self.subsets.T) / 2
        power = 2**self.config.order
        return torch.cos(half) ** power, torch.sin(half) ** power

    def workspace(self, state: Tensor, c: Tensor, s: Tensor) -> Tensor:
        """Neurons and RY gates on states (K, R, 2^ws); c and s (n_inner, K, 2^(ws-1))."""
        ws = self.config.workspace
        for neuron in range(self.n_inner):
            stage, lane = divmod(neuron, ws)
            if stage and not lane:
                state = _turn(state, self.turns[stage - 1])
            a0, a1 = state.unflatten(2, (2**lane, 2, -1)).unbind(3)
            cos = c[neuron].unflatten(1, (2**lane, -1))[:, None]
            sin = s[neuron].unflatten(1, (2**lane, -1))[:, None]
            state = torch.stack([cos * a0 - sin * a1, cos * a1 + sin * a0], 3).flatten(2)
        return state

    def written(self, c: Tensor, s: Tensor) -> Tensor:
        """G (2^n_io, 2^ws): amplitudes that the output neurons give a cleared I/O register."""
        n_io, dim = self.config.n_bits, 2**self.config.workspace
        state = torch.cat([c.new_ones(1, dim), c.new_zeros(2**n_io - 1, dim)])
        for lane in range(n_io):
            a0, a1 = state.unflatten(0, (2**lane, 2, -1)).unbind(1)
            cos, sin = (part[self.n_inner + lane].view(2**lane, -1, dim) for part in (c, s))
            state = torch.stack([cos * a0 - sin * a1, cos * a1 + sin * a0], 1).flatten(0, 2)
        return state

    def forward(
        self, symbols: Tensor, targets: Tensor, *, depolarising: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run sequences, post-selecting the symbols ``targets``.

        Args:
            symbols: int64 (B, T), symbols read.
            targets: int64 (B, T), symbols written and post-selected.
            depolarising: Probability with which a workspace lane is hit after a step; one random run.

        Returns:
            Probabilities (B, T, 2^n_io) of the symbols written, given what was post-selected before; the log
            of the probability (B,) of all that was post-selected; and the last workspace states (B, 2^ws).
        """
        n_io, dim = 2**self.config.n_bits, 2**self.config.workspace
        c, s = self.amplitudes()
        inner = [part[: self.n_inner].unflatten(1, (n_io, -1)) for part in (c, s)]
        written = self.written(c, s)
        power = written.square().T
        compiled = n_io * dim <= COMPILED
        if compiled:
            eye = torch.eye(dim, device=c.device).expand(n_io, -1, -1)
            matrices = self.workspace(eye, *inner).unbind()
            order = symbols.argsort(0)  # rows that read the same symbol are multiplied together
            back = order.argsort(0)
            counts = functional.one_hot(symbols, n_io).sum(0).tolist()
        state = functional.one_hot(symbols.new_zeros(len(symbols)), dim).to(c.dtype)
        rows = torch.arange(len(symbols), device=symbols.device)
        answers, kept = [], torch.zeros(len(symbols), device=c.device)
        for t in range(symbols.shape[1]):
            x = symbols[:, t]
            if compiled:
                groups = state[order[:, t]].split(counts[t])
                moved = [group @ a for group, a in zip(groups, matrices, strict=True) if len(group)]
                state = torch.cat(moved)[back[:, t]]
            else:
                state = self.workspace(state[:, None], *(part[:, x] for part in inner))[:, 0]
            if depolarising:
                state = _hit(state, depolarising)
            p = state.square() @ power
            p = p / p.sum(1, keepdim=True)
            answers.append(p)
            chosen = p[rows, targets[:, t]].clamp_min(1e-30)
            kept = kept + chosen.log()
            state = state * written[targets[:, t]]
            state = state / state.norm(dim=1, keepdim=True).clamp_min(1e-30)
        return torch.stack(answers, 1), kept, state

    def unitarity_error(self) -> float:
        """Largest deviation of the symbols' total probability from 1 over a short random sequence."""
        with torch.no_grad():
            x = torch.randint(2**self.config.n_bits, (4, 5), device=self.theta.device)
            p, _, state = self(x, torch.zeros_like(x))
            return float(max((p.sum(2) - 1).abs().max(), (state.square().sum(1) - 1).abs().max()))


def _turn(state: Tensor, angles: Tensor) -> Tensor:
    """RY of every lane on states (K, R, 2^n), as one matrix on either half of the lanes."""
    cos, sin = torch.cos(angles / 2), torch.sin(angles / 2)
    gates = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    halves = []
    for part in gates.tensor_split(2):
        matrix = torch.ones(1, 1, device=state.device)
        for gate in part:
            matrix = torch.kron(matrix, gate)
        halves.append(matrix)
    top, bottom = halves
    folded = state.unflatten(2, (len(top), len(bottom)))
    turned: Tensor = (top @ folded @ bottom.T).flatten(2)
    return turned


def _hit(state: Tensor, p: float) -> Tensor:
    """Every lane of every state (B, 2^n) with probability p through a random Pauli matrix.

    Y is X Z up to a phase of the whole state, so that amplitudes stay real.
    """
    n = round(math.log2(state.shape[1]))
    kind = torch.randint(1, 4, (len(state), n), device=state.device)
    kind = kind * (torch.rand(len(state), n, device=state.device) < p)
    place = 2 ** torch.arange(n - 1, -1, -1, device=state.device)
    flip = (((kind == 1) | (kind == 2)) * place).sum(1)
    sign = ((kind == 2) | (kind == 3)).to(state.dtype)
    index = torch.arange(state.shape[1], device=state.device)
    bits = (index[:, None] & place > 0).to(state.dtype)  # (2^n, n)
    phase = 1 - 2 * ((sign @ bits.T) % 2)
    return (state * phase).gather(1, index ^ flip[:, None])


class Reader(nn.Module):
    """Images (B, c, h, w) to (B, side^2) grey levels of the first channel, or angles (B, n) to n levels."""

    def __init__(self, side: int, n_bits: int) -> None:
        super().__init__()
        self.side = side
        self.levels: int = 2**n_bits

    def forward(self, x: Tensor) -> Tensor:
        """int64 symbols, 2^n_bits of them."""
        if x.ndim == 2:
            return (x * (self.levels / math.pi)).long().clamp(0, self.levels - 1)
        small: Tensor = functional.adaptive_avg_pool2d(x[:, :1], self.side).flatten(1)
        return (small * self.levels).long().clamp(0, self.levels - 1)


class QrnnClassifier(nn.Module):
    """The cell on pixels: the label is what it writes last, after zeros; outputs are probabilities."""

    def __init__(self, config: QrnnConfig, n_classes: int) -> None:
        super().__init__()
        self.config = config
        self.reader = Reader(config.side, config.n_bits)
        self.cell = Cell(config, entangled=config.quantum.variant != "no_entanglement")
        if config.quantum.variant == "frozen":
            for weights in (self.cell.theta, self.cell.phi, self.cell.turns):
                nn.init.uniform_(weights.requires_grad_(False), -math.pi, math.pi)
        base = 2**config.n_bits
        self.n_classes = n_classes
        self.penalty: Tensor | float = 0.0
        self.n_label = max(1, math.ceil(math.log(n_classes, base) - 1e-9))
        if self.n_label >= (steps := config.components or config.side**2):
            raise BaselineError(
                f"qrnn: a label of {n_classes} classes takes {self.n_label} of {steps} steps, and at least "
                "one has to come before it; raise n_bits or components"
            )
        digits = np.arange(n_classes)[:, None] // base ** np.arange(self.n_label - 1, -1, -1) % base
        self.register_buffer("labels", torch.from_numpy(digits), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities (B, n_classes); what is missing to 1 are symbols that stand for no class."""
        noise = self.config.quantum.noise.depolarising
        runs = self.config.trajectories if noise and not self.training else 1
        symbols = self.reader(x)
        p = torch.stack([self._once(symbols, noise) for _ in range(runs)]).mean(0)
        if self.config.quantum.shots:
            rest = (1 - p.sum(1, keepdim=True)).clamp_min(0)
            p = sampled(torch.cat([p, rest], 1), self.config.quantum.shots)[:, :-1]
        return p

    def _once(self, symbols: Tensor, noise: float) -> Tensor:
        n, error = len(symbols), self.config.quantum.noise.readout_error
        if self.n_label == 1:
            p = self.cell(symbols, torch.zeros_like(symbols), depolarising=noise)[0]
            self._punish(p)
            last = p[:, -1]
            return readout_errors(last.T[None], error)[0].T[:, : self.n_classes]
        many = symbols.repeat_interleave(self.n_classes, 0)  # the later digits depend on the first
        targets = torch.zeros_like(many)
        labels: Tensor = self.labels  # type: ignore[assignment]
        targets[:, -self.n_label :] = labels.repeat(n, 1)
        p = self.cell(many, targets, depolarising=noise)[0]
        self._punish(p)
        written: Tensor = p[:, -self.n_label :].gather(2, targets[:, -self.n_label :, None])[..., 0]
        return torch.prod(written, 1).view(n, self.n_classes)

    def _punish(self, p: Tensor) -> None:
        zeros = p[:, : -self.n_label, 0].clamp_min(1e-30).log()
        self.penalty = -self.config.keep * zeros.mean()

    def kept(self, x: Tensor) -> Tensor:
        """Log10 of the probability (B,) with which all zeros before the label are measured."""
        symbols = self.reader(x)[:, : -self.n_label]
        log: Tensor = self.cell(symbols, torch.zeros_like(symbols))[1]
        return log / math.log(10)

    def work(self, x: Tensor, out: Tensor) -> Operations:
        """Neurons and RY gates of all steps (a neuron of order k is built of some 2^k controlled turns)."""
        c, steps = self.config, self.config.components or self.config.side**2
        neurons = (c.workspace * (1 + c.stages) + c.n_bits) * steps
        gates = {"neuron": neurons, "RY": c.workspace * c.stages * steps}
        depth = steps * (c.workspace * (1 + c.stages) + c.n_bits + c.stages)
        return Operations(0, len(x), gates, depth, len(x) * (c.quantum.shots or 0))


class Recurrent(nn.Module):
    """A classical recurrence over the same pixels: tanh, or GRU; logits."""

    def __init__(self, config: QrnnConfig, n_classes: int, width: int, *, gated: bool) -> None:
        super().__init__()
        self.reader = Reader(config.side, config.n_bits)
        self.levels = 2**config.n_bits
        self.recurrence = (nn.GRU if gated else nn.RNN)(1, width, batch_first=True)
        self.head = nn.Linear(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities (B, n_classes), as the cell's."""
        symbols = self.reader(x)[..., None].to(self.head.weight.dtype) / self.levels
        hidden, _ = self.recurrence(symbols)
        return torch.softmax(self.head(hidden[:, -1]), 1)


class PixelLinear(nn.Module):
    """A softmax layer on the same pixels."""

    def __init__(self, config: QrnnConfig, n_classes: int) -> None:
        super().__init__()
        self.reader = Reader(config.side, config.n_bits)
        self.levels = 2**config.n_bits
        self.head = nn.Linear(config.components or config.side**2, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities (B, n_classes)."""
        return torch.softmax(self.head(self.reader(x).to(self.head.weight.dtype) / self.levels), 1)


class Qrnn(NetworkBaseline):
    """Images read pixel by pixel by a quantum recurrent cell."""

    name = "qrnn"
    Config: ClassVar[type[BaselineConfig]] = QrnnConfig
    tuned = (("training.learning_rate", 3e-3, 0.05),)
    kind = "image"
    facts = Facts(
        title="recurrent quantum neurons that read 10 x 10 pixels one by one",
        paper="Bausch, Recurrent Quantum Neural Networks, NeurIPS 2020",
        source="arXiv:2006.14619; code: github.com/rumschuettel/rvqe and forks",
        headline="digits 0 and 1: 98.6 %, 3 and 6: 89.7 %; all digits through t-SNE: 94.6 %",
        reproduced="cell, neurons, amplification and post-selection (1,212 parameters for 8 workspace and 2 "
        "I/O lanes), 10 x 10 pixels of 2 bits; memorisation and Elman's XOR as tests",
        differs="t-SNE is left out: it embeds the test images together with the training images. Angles "
        "start where silent lanes turn nothing (start, start_out, coupling, spread; the authors' are 0, 0, 1 "
        "and 0), the loss rewards the zeros that are post-selected (keep) and is the label's log-likelihood; "
        "the authors' is training.loss = 'cross_entropy_of_probabilities'. Post-selection is free in "
        "simulation and is what hardware would pay for: QrnnClassifier.kept reports its probability",
    )

    def _features(self, x: Tensor, progress: Progress | None) -> nn.Module | None:
        """Principal components as angles between 0 and pi."""
        if (n := self.settings.components) is None:
            return None
        flat = as_float(x).flatten(1)
        pca = PCA(n, random_state=0).fit(flat.cpu().numpy())
        matrix, mean = (torch.from_numpy(a).to(flat) for a in (pca.components_.T, pca.mean_))
        return nn.Sequential(nn.Flatten(), Rescale(matrix, mean, flat))

    def network(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """The network for images of at least ``side`` x ``side`` pixels."""
        config = self.settings
        if config.components is None and min(shape[1:]) < config.side:
            raise BaselineError(
                f"qrnn: images of {shape[1]} x {shape[2]} pixels; at least {config.side} a side"
            )
        only_our_simulator(config.quantum, self.name)
        if config.quantum.noise.readout_error and n_classes > 2**config.n_bits:
            raise BaselineError(
                f"qrnn: quantum.noise.readout_error of labels of several symbols; raise n_bits until "
                f"2^n_bits is at least {n_classes}, or leave it out"
            )
        if config.quantum.noise.amplitude_damping:
            raise BaselineError("qrnn: no amplitude damping, whose runs are not real; take depolarising")
        variant = config.quantum.variant
        if variant == "deleted":
            return PixelLinear(config, n_classes)
        if variant in ("linear", "classical"):
            budget = sum(p.numel() for p in Cell(config).parameters())
            gated = variant == "classical"
            return widest(lambda width: Recurrent(config, n_classes, width, gated=gated), budget)
        return QrnnClassifier(config, n_classes)

    def _to_probabilities(self, out: Tensor) -> Tensor:
        return out.clamp_min(1e-12) / out.clamp_min(1e-12).sum(1, keepdim=True)

    @classmethod
    def drawing(cls) -> str:
        """The cell as text."""
        return (
            "I/O |0>  ─ write x ─●──────────────────●──────── clear ─ neurons (one per lane) ─ measure, "
            "reset ─\n                    │                  │                     │\n"
            "work |ψ> ───────── neurons ─ stages x [RY ─ neurons] ────────●──────────────────────────────── "
            "|ψ'>"
        )
