"""A trained readout whose projection is multiplied in the chip's own memory."""

from typing import Any, Self

from sklearn.base import clone

from neurosim import rng
from neurosim.array.irdrop import WiresConfig
from neurosim.array.mapping import program_matrix
from neurosim.array.mvm import AnalogMatrix, MvmConfig, calibrated, multiply
from neurosim.cards import MacroCard
from neurosim.device import DeviceConfig
from neurosim.readout.base import Array, Readout, Samples, Trained
from neurosim.readout.config import Activation


class AnalogReadout(Readout):
    """Trains a readout in software and predicts with its weights as conductances.

    Every layer is an array of its own, y = x W with `multiply`; scaling of the states, biases and what stands
    between the layers are digital. Full scales are calibrated on the validation states, layer by layer.

    Attributes:
        matrices_: Programmed matrix of every layer.
        layers_: Weights and biases that were trained.
        chosen_: What validation chose, and ``adc_clipped``, the largest share of saturated conversions of a
            layer on the validation states.
        validation_accuracy_: Accuracy of the analog readout.
    """

    def __init__(
        self,
        readout: Readout,
        config: MvmConfig,
        device: DeviceConfig,
        macro: MacroCard,
        *,
        wires: WiresConfig | None = None,
        name: str = "readout",
        random_state: int = 0,
    ) -> None:
        """Args as in `program_matrix`, with ``random_state`` for the seed; ``readout`` is not yet trained."""
        self.readout = readout
        self.config = config
        self.device = device
        self.macro = macro
        self.wires = wires
        self.name = name
        self.random_state = random_state

    def fit(self, X: Any, y: Any, validation: tuple[Any, Any] | None = None) -> Self:
        """Train the readout, see `Readout.fit`; then program and calibrate it."""
        self.weight_decay, self.scaling = self.readout.weight_decay, self.readout.scaling
        return super().fit(X, y, validation)

    def _train(self, train: Samples, validation: Samples) -> Trained:
        self._digital = digital = clone(self.readout)
        digital.classes_ = self.classes_
        self.layers_, chosen, _ = digital._train(train, validation)
        self.matrices_: list[AnalogMatrix] = []
        states, codes = validation.take(slice(None))
        for i, (weight, _) in enumerate(self.layers_):
            matrix = program_matrix(
                weight,
                self.config,
                self.device,
                self.macro,
                seed=self.random_state,
                name=f"{self.name}/{i}",
                wires=self.wires,
            )
            x = digital._input(self._forward(states, 0), i)
            key = rng.key(self.random_state, f"{self.name}/{i}/calibration")
            self.matrices_.append(calibrated(matrix, x, key=key))
        right = int((self._forward(states, 0).argmax(axis=1) == codes).sum())
        clipped = [matrix.adc_clipped for matrix in self.matrices_ if matrix.adc_clipped is not None]
        chosen |= {"adc_clipped": max(clipped)} if clipped else {}
        return Trained(self.layers_, chosen, right / len(codes))

    @property
    def activation(self) -> Activation:
        """That of the readout in software."""
        return self.readout.activation

    def _forward(self, z: Array, first: int) -> Array:
        for i, (matrix, (_, bias)) in enumerate(zip(self.matrices_, self.layers_, strict=False)):
            x = self._digital._input(z, i)
            key = rng.key(self.random_state, f"{self.name}/{i}/read_noise")
            z = multiply(matrix, x, key=key, first=first) + bias
        return z
