"""Linear optics with photons: outputs of interferometers by SLOS, batched and differentiable.

SLOS (Heurtel et al., arXiv:2206.10549) builds the output state photon by photon: with k photons in,

    c_k[s] = sum_j U[j, m_k] c_(k-1)[s - e_j]

and the amplitude of the Fock state s is c_n[s] sqrt(prod s_j!) for single photons in the input modes
m_1..m_n, which is the permanent of U's submatrix over sqrt(prod s_j!).
"""

import math
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from neurosim.errors import BaselineError

MAX_STATES = 200_000


@lru_cache(maxsize=16)
def fock_states(n_modes: int, n_photons: int) -> npt.NDArray[np.int64]:
    """Occupations (n_states, n_modes) of all Fock states, in the order of their sorted modes.

    Raises:
        BaselineError: If there are more than ``MAX_STATES``.
    """
    if (n_states := math.comb(n_modes + n_photons - 1, n_photons)) > MAX_STATES:
        raise BaselineError(
            f"{n_photons} photons in {n_modes} modes have {n_states:,} states; at most {MAX_STATES:,} are "
            f"kept"
        )
    places = np.array(list(combinations_with_replacement(range(n_modes), n_photons)), np.int64)
    states = np.zeros((n_states, n_modes), np.int64)
    np.add.at(states, (np.arange(n_states)[:, None], places.reshape(n_states, n_photons)), 1)
    return states


class Slos(nn.Module):
    """Output of interferometers for single photons in some modes.

    Attributes:
        states: Occupations (n_states, n_modes).
    """

    weight: Tensor

    def __init__(self, n_modes: int, inputs: tuple[int, ...]) -> None:
        super().__init__()
        if len(set(inputs)) != len(inputs) or not all(0 <= m < n_modes for m in inputs):
            raise BaselineError(f"photons in modes {inputs}; name different modes of 0..{n_modes - 1}")
        self.inputs = inputs
        self.n_modes = n_modes
        self.states = fock_states(n_modes, len(inputs))
        for k in range(1, len(inputs) + 1):
            parents, modes = _parents(n_modes, k)
            self.register_buffer(f"parents{k}", torch.from_numpy(parents), persistent=False)
            self.register_buffer(f"modes{k}", torch.from_numpy(modes), persistent=False)
        factorials = np.vectorize(math.factorial, otypes=[float])(self.states).prod(1)
        self.register_buffer("weight", torch.tensor(factorials, dtype=torch.float32), persistent=False)

    def _grow(self, columns: Tensor) -> Tensor:
        """c_n (B, n_states) of the columns (B, n_modes, n_photons) of the photons' input modes."""
        c = columns.new_ones(len(columns), 1)
        for k in range(1, len(self.inputs) + 1):
            c = torch.cat([c, c.new_zeros(len(c), 1)], 1)  # the parent of what has none
            parents, modes = getattr(self, f"parents{k}"), getattr(self, f"modes{k}")
            column = columns[:, :, k - 1]
            total = c.index_select(1, parents[0]) * column.index_select(1, modes[0])
            for parent, mode in zip(parents[1:], modes[1:], strict=True):
                total = total + c.index_select(1, parent) * column.index_select(1, mode)
            c = total
        return c

    def amplitudes(self, unitary: Tensor) -> Tensor:
        """Amplitudes (B, n_states) of unitary matrices (B, n_modes, n_modes)."""
        return self._grow(unitary[:, :, list(self.inputs)]) * self.weight.sqrt()

    def forward(self, columns: Tensor, *, distinguishable: bool = False) -> Tensor:
        """Probabilities (B, n_states) of the columns (B, n_modes, n_photons) of the input modes.

        Photons that are ``distinguishable`` do not interfere: permanents of |U|^2.
        """
        if distinguishable:
            return self._grow(torch.view_as_real(columns).square().sum(-1))
        return torch.view_as_real(self._grow(columns)).square().sum(-1) * self.weight


def _parents(n_modes: int, k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Parents of every state of k photons, and the modes that lead from them: (min(k, m), n_states) each."""
    states, before = fock_states(n_modes, k), fock_states(n_modes, k - 1)
    place = {tuple(state): i for i, state in enumerate(before.tolist())}
    width = min(k, n_modes)
    parents = np.full((width, len(states)), len(before), np.int64)
    modes = np.zeros((width, len(states)), np.int64)
    for i, state in enumerate(states.tolist()):
        for slot, mode in enumerate(np.flatnonzero(state)):
            state[mode] -= 1
            parents[slot, i], modes[slot, i] = place[tuple(state)], mode
            state[mode] += 1
    return parents, modes


def mesh(theta: Tensor, phi: Tensor, n_modes: int) -> Tensor:
    """Unitary (..., m, m) of a rectangular mesh of m (m - 1) / 2 cells, layer by layer.

    A cell on modes (j, j + 1) is beam splitter, phase, beam splitter, phase, both phases on mode j, with beam
    splitters [[cos t/2, i sin t/2], [i sin t/2, cos t/2]].

    Args:
        theta: (..., n_cells, 2), angles of the beam splitters [rad]; pi/2 is one half.
        phi: (..., n_cells, 2), phases [rad].
        n_modes: m.

    Source: Clements et al., Optica 3, 1460 (2016).
    """
    cos, sin = torch.cos(theta / 2), torch.sin(theta / 2)
    phase = torch.complex(torch.cos(phi), torch.sin(phi))
    splitter = torch.stack(
        [torch.stack([cos + 0j, 1j * sin], -1), torch.stack([1j * sin, cos + 0j], -1)], -2
    )  # (..., n_cells, 2, 2, 2)
    shift = torch.stack([phase, torch.ones_like(phase)], -1)[..., None] * splitter
    cells = shift[..., 1, :, :] @ shift[..., 0, :, :]
    unitary = torch.eye(n_modes, dtype=cells.dtype, device=cells.device).expand(*cells.shape[:-3], -1, -1)
    first = 0
    for layer in range(n_modes):
        start = layer % 2
        n = (n_modes - start) // 2
        block = unitary[..., start : start + 2 * n, :].unflatten(-2, (n, 2))
        block = (cells[..., first : first + n, :, :] @ block).flatten(-3, -2)
        rows = [unitary[..., :start, :], block, unitary[..., start + 2 * n :, :]]
        unitary = torch.cat(rows, -2)
        first += n
    return unitary


def n_cells(n_modes: int) -> int:
    """Cells of a mesh."""
    return n_modes * (n_modes - 1) // 2
