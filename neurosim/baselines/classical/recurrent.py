"""Recurrent networks: Elman's, GRU and LSTM."""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from neurosim.baselines.base import BaselineConfig, Facts, NetworkBaseline, NetworkConfig
from neurosim.baselines.training import TrainingConfig

Cell = Literal["rnn", "gru", "lstm"]
CELLS: dict[Cell, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentConfig(NetworkConfig):
    """Keys of ``rnn``, ``gru`` and ``lstm``.

    Attributes:
        hidden: Hidden units; 200 as the liquid of Lin et al.
        pool: What is read: the ``last`` hidden state, or the ``mean`` over time.
    """

    training: TrainingConfig = TrainingConfig(
        epochs=20, batch_size=80, schedule="cosine", learning_rate=1e-3, clip=1.0
    )
    hidden: int = Field(200, ge=1)
    pool: Literal["last", "mean"] = "mean"


class Recurrence(nn.Module):
    """Sequences (B, T, n) to logits (B, n_classes)."""

    def __init__(self, cell: Cell, n: int, config: RecurrentConfig, n_classes: int) -> None:
        super().__init__()
        self.recurrence = CELLS[cell](n, config.hidden, batch_first=True)
        self.head = nn.Linear(config.hidden, n_classes)
        self.pool = config.pool

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        hidden: Tensor = self.recurrence(x)[0]
        logits: Tensor = self.head(torch.mean(hidden, 1) if self.pool == "mean" else hidden[:, -1])
        return logits


class Rnn(NetworkBaseline):
    """Elman's network: h = tanh(W x + U h + b)."""

    name = "rnn"
    cell: ClassVar[Cell] = "rnn"
    Config: ClassVar[type[BaselineConfig]] = RecurrentConfig
    kind = "sequence"
    facts = Facts(
        title="recurrent network (tanh)",
        paper="Lin et al., Resistive memory-based zero-shot liquid state machine, Nat. Comput. Sci. 5, 37, "
        "2025",
        source="doi:10.1038/s43588-024-00751-z; their public code",
        headline="RNN: N-MNIST 96.23 %, N-TIDIGITS 75.54 %",
        reproduced="200 hidden units on the liquid's own input, batches of 80",
        differs="cross-entropy instead of the mean squared error, validation instead of the test part "
        "chooses the epoch",
    )

    def network(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """The network for sequences (T, n)."""
        return Recurrence(self.cell, shape[1], self.settings, n_classes)


class Gru(Rnn):
    """Gated recurrent units."""

    name = "gru"
    cell: ClassVar[Cell] = "gru"
    facts = Facts(
        title="gated recurrent units",
        paper="Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014",
        source="arXiv:1406.1078; PyTorch's nn.GRU",
        headline="none on these tasks; the plain network of Lin et al. is 'rnn'",
        reproduced="200 hidden units on the liquid's own input",
        differs="nothing is claimed by a paper on these tasks",
    )


class Lstm(Rnn):
    """Long short-term memory."""

    name = "lstm"
    cell: ClassVar[Cell] = "lstm"
    facts = Facts(
        title="long short-term memory",
        paper="Hochreiter and Schmidhuber, Long Short-Term Memory, 1997",
        source="doi:10.1162/neco.1997.9.8.1735; PyTorch's nn.LSTM",
        headline="none on these tasks; the plain network of Lin et al. is 'rnn'",
        reproduced="200 hidden units on the liquid's own input",
        differs="nothing is claimed by a paper on these tasks",
    )
