"""Config models of the liquid and its states."""

from typing import Literal, Self

from pydantic import Field, model_validator

from neurosim.config import StrictModel


class HomeostasisConfig(StrictModel):
    """Thresholds adapted on unlabelled recordings until every neuron fires at one rate.

    Attributes:
        rate_target: Wanted firing rate [Hz].
        n_recordings: Recordings the rates are measured on.
        n_iterations: Passes over them.
        eta: First step of the thresholds' logarithm; it shrinks geometrically to a tenth.
    """

    rate_target: float = Field(10.0, gt=0)
    n_recordings: int = Field(200, ge=1)
    n_iterations: int = Field(20, ge=1)
    eta: float = Field(0.7, gt=0, le=5)


class StatesConfig(StrictModel):
    """What is read from the liquid.

    Attributes:
        kind: ``count`` of spikes, ``rate`` [Hz], or ``trace`` (every spike decays with ``tau_trace``
            until the end of its segment).
        n_segments: Equal parts of the recording that are read apart (the paper's is 1).
        pool: Side of the squares of positions whose spikes are added (``shared`` topology only).
        tau_trace: Time constant of the trace [s].
    """

    kind: Literal["count", "rate", "trace"] = "count"
    n_segments: int = Field(1, ge=1)
    pool: int = Field(1, ge=1)
    tau_trace: float = Field(0.05, gt=0)


RECURRENT_KEYS = frozenset({"frac_excitatory", "recurrent_scaling", "spectral_radius"})
TOPOLOGY_KEYS: dict[str, frozenset[str]] = {
    "dense": RECURRENT_KEYS | {"n_neurons"},
    "sparse": RECURRENT_KEYS | {"n_neurons", "p_connect", "p_recurrent"},
    "local": RECURRENT_KEYS | {"n_neurons", "patch", "p_recurrent"},
    "shared": frozenset({"n_patches", "patch", "stride"}),
}


class ReservoirConfig(StrictModel):
    """A random liquid of leaky integrate-and-fire neurons.

    Attributes:
        topology: ``dense``: every channel and every neuron drives every neuron (the paper's).
            ``sparse``: each neuron listens to a random share ``p_connect`` of channels and neurons.
            ``local``: each neuron sees one random ``patch`` x ``patch`` square of the sensor.
            ``shared``: one bank of ``n_patches`` random patches is read at every ``stride``-th position.
        n_neurons: Neurons (``shared``: follows from the bank and the positions).
        n_patches, patch, stride: See ``topology``.
        p_connect: Share of the inputs that a ``sparse`` neuron listens to.
        p_recurrent: Share of the neurons that a ``sparse`` or ``local`` neuron listens to; None: as
            ``p_connect`` for ``sparse``, no recurrence for ``local``. ``shared`` has none.
        frac_excitatory: Share of the neurons whose recurrent weights are positive, the rest negative
            (Dale's law, by wiring each pair's larger cell to that side). None: signs as they form.
        input_scaling: Weight of one siemens of G+ - G- on the input rows [1/S].
        recurrent_scaling: The same on the recurrent rows; None: as ``input_scaling``.
        spectral_radius: Sets ``recurrent_scaling`` so that the recurrent weights over the threshold have
            this spectral radius.
        beta: Share of the membrane potential left after one step; or
        tau_mem: membrane time constant [s], beta = exp(-dt / tau_mem). Exactly one of the two.
        tau_syn: Time constant of the synaptic current [s]; None: a current lasts one step.
        v_threshold: Firing threshold before homeostasis, in units of the weights.
        reset: Membrane after a spike: ``zero``, or ``subtract`` the threshold.
        t_refractory: Time after a spike in which the membrane is frozen [s].
        weights: Number type of the stored weights. Integer types make every sum exact.
        read_noise: Whether every read is noisy, as the device card says.
        n_reads: Moments to which the slow part of the read noise moves on, spread over each data part.
        t_read_gap: Time between those moments [s].
        homeostasis: How thresholds are adapted; None (``false`` in TOML) leaves them at ``v_threshold``.
        states: What is read from the liquid.
    """

    topology: Literal["dense", "sparse", "local", "shared"] = "dense"
    n_neurons: int = Field(200, ge=1, le=65_535)
    n_patches: int = Field(32, ge=1, le=4096)
    patch: int = Field(7, ge=1)
    stride: int = Field(3, ge=1)
    p_connect: float = Field(0.1, gt=0, le=1)
    p_recurrent: float | None = Field(None, ge=0, le=1)
    frac_excitatory: float | None = Field(None, ge=0, le=1)
    input_scaling: float = Field(7e4, gt=0)
    recurrent_scaling: float | None = Field(None, gt=0)
    spectral_radius: float | None = Field(None, gt=0)
    beta: float | None = Field(None, ge=0, lt=1)
    tau_mem: float | None = Field(None, gt=0)
    tau_syn: float | None = Field(None, gt=0)
    v_threshold: float = Field(5.0, gt=0)
    reset: Literal["zero", "subtract"] = "zero"
    t_refractory: float = Field(0.0, ge=0)
    weights: Literal["int8", "int16", "float32"] = "int16"
    read_noise: bool = True
    n_reads: int = Field(4, ge=1)
    t_read_gap: float = Field(60.0, gt=0)
    homeostasis: HomeostasisConfig | None = HomeostasisConfig()
    states: StatesConfig = StatesConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = {key for key in self.model_fields_set if getattr(self, key) is not None}
        own = TOPOLOGY_KEYS[self.topology]
        if foreign := sorted(given & frozenset.union(*TOPOLOGY_KEYS.values()) - own):
            allowed = ", ".join(sorted(own))
            raise ValueError(
                f"topology '{self.topology}' has no {', '.join(foreign)}; remove it; allowed: {allowed}"
            )
        if (self.beta is None) == (self.tau_mem is None):
            raise ValueError("give exactly one of beta and tau_mem")
        if self.recurrent_scaling is not None and self.spectral_radius is not None:
            raise ValueError("give recurrent_scaling or spectral_radius, not both")
        if self.states.pool > 1 and self.topology != "shared":
            raise ValueError(f"states.pool (={self.states.pool}) needs topology = 'shared'; set it to 1")
        return self
