"""Cards: what is known about a device, a machine or a data set, with the source of every number.

A card is a TOML file. Its physical numbers are quantities,

    g_mean = { value = 34.1e-6, unit = "S", source = "wang2025", where = "code constant", status = "fitted" }

whose unit must be the field's SI unit (checked, never converted) and whose value must lie in the
field's range. The schemas below read as the list of what a card may say; a section that is absent
means that the effect is ideal.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, model_validator

from neurosim.config import StrictModel, read_toml, validate
from neurosim.errors import CardError, did_you_mean
from neurosim.quantity import (
    Ampere,
    Bits,
    Cells,
    Curve,
    Cycles,
    Delay,
    Electronvolt,
    Growth,
    In,
    Joule,
    Kelvin,
    Ohm,
    PerKelvin,
    PerSecond,
    Probability,
    Quantity,
    Relative,
    RelativeCurve,
    RelativeLog,
    Resolution,
    Second,
    Siemens,
    SiemensCurve,
    Sigmas,
    Sourced,
    SquareMetre,
    Volt,
    Watt,
    check_ascending,
)

# ---- schemas ---------------------------------------------------------------------------------------


class Card(StrictModel):
    """What every card has.

    Attributes:
        name: The name it is loaded by.
        title: One line for lists.
        sources: Key -> DOI, ``arXiv:number``, ``https://`` address or, for data that stand beside the card,
            ``file:NAME?sha256=HEX``.
        notes: Free text: what is invented here and why.
    """

    schema_id: ClassVar[str]
    folder: ClassVar[str]

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str
    sources: dict[str, str] = Field(default_factory=dict)
    notes: str = ""


class Conductance(StrictModel):
    """Conductance of a cell.

    Attributes:
        g_min: Lowest conductance: an unformed cell, the fully reset state, a cell stuck off.
        g_max: Highest conductance: the fully set state, a cell stuck on, and the g_max of g/g_max below.
        g_mean: Mean conductance after forming, needed with ``[forming]``; without it cells are programmed to
            random states.
        sigma_d2d: Spread from device to device, relative to the conductance.
        distribution: Law of that spread.
    """

    g_min: Siemens
    g_max: Siemens
    g_mean: Siemens | None = None
    sigma_d2d: Relative | None = None
    distribution: Literal["normal", "lognormal"] = "normal"

    @model_validator(mode="after")
    def _window(self) -> Self:
        check_ascending(self.g_min, self.g_max, "g_min, g_max")
        return self


class Forming(StrictModel):
    """Electroforming: P(formed) = Phi((V - v_forming) / sigma_v_forming).

    Attributes:
        v_forming: Median forming voltage of the cells.
        sigma_v_forming: Its spread over the cells.
        v_default: Pulse amplitude where an experiment names none.
        v_min: Lowest amplitude the law is backed by.
        v_max: Highest amplitude the law is backed by.
        compliance_exponent: k in the mean conductance g_mean (compliance current / the card's own)^k.
    """

    v_forming: Volt
    sigma_v_forming: Annotated[Quantity, In("V", 1e-6, 5.0)]
    v_default: Volt
    v_min: Volt
    v_max: Volt
    compliance_exponent: Relative | None = None

    @model_validator(mode="after")
    def _range(self) -> Self:
        check_ascending(self.v_min, self.v_max, "v_min, v_max")
        return self


class Programming(StrictModel):
    """Error of a cell after it was programmed to a target g.

    Attributes:
        sigma_prog: Standard deviation against the state, not below 0.
        sigma_c2c: Further spread from cycle to cycle, relative to g.
    """

    sigma_prog: SiemensCurve
    sigma_c2c: Relative | None = None


class ReadNoise(StrictModel):
    """Fluctuation of the read conductance: a white part and a slow part.

    The relative standard deviation is ``sigma_read``, or ``sigma_curve``(x), or the 1/f law of phase-change
    memory, Q sqrt(ln((t + t0 + t_read) / (2 t_read))) with t0 from ``[drift]`` and
    Q = min(q_max, q x^-q_exponent) or Q = q_log(x), x = g/g_max. Give one of the four.

    Attributes:
        sigma_read: Relative standard deviation, the same for every state.
        sigma_curve: Relative standard deviation against the state, not below 0.
        q: Noise strength of the fully set state.
        q_exponent: How it grows for lower states.
        q_max: Its upper limit.
        q_log: Noise strength against the state.
        t_read: Duration of a read in the 1/f law.
        white_fraction: Share of the variance that is new at every read.
        tau_min: Shortest correlation time of the slow part.
        tau_max: Longest correlation time of the slow part.
        p_telegraph: Fraction of cells whose slow part is one two-state fluctuator rather than many.
    """

    sigma_read: Relative | None = None
    sigma_curve: RelativeCurve | None = None
    q: Relative | None = None
    q_exponent: Relative | None = None
    q_max: Relative | None = None
    q_log: RelativeLog | None = None
    t_read: Second | None = None
    white_fraction: Probability
    tau_min: Second
    tau_max: Second
    p_telegraph: Probability | None = None

    @model_validator(mode="after")
    def _one_law(self) -> Self:
        power, log, t_read = (self.q, self.q_exponent, self.q_max), self.q_log, self.t_read
        laws = [(self.sigma_read,), (self.sigma_curve,), (*power, t_read), (log, t_read)]
        given = {id(x) for x in (self.sigma_read, self.sigma_curve, *power, log, t_read) if x is not None}
        if not any(None not in law and given == set(map(id, law)) for law in laws):
            raise ValueError(
                "give sigma_read, sigma_curve, q with q_exponent, q_max and t_read, or q_log with t_read"
            )
        check_ascending(self.tau_min, self.tau_max, "tau_min, tau_max")
        return self


class Drift(StrictModel):
    """Drift G(t) = G(0) ((t + t0)/t0)^-nu, nu = |mean(x) + std(x) xi|, x = g/g_max.

    Attributes:
        t0: Time from programming to the first read.
        t_max: Longest time the law is backed by.
        nu_mean: Mean of the exponents of cells in a state.
        nu_std: Their standard deviation.
    """

    t0: Second
    t_max: Second
    nu_mean: RelativeLog
    nu_std: RelativeLog


class Relaxation(StrictModel):
    """Deviation from the target at one time after programming (``[[relaxation]]``, ascending times).

    Attributes:
        t: Time after programming.
        sigma: Total standard deviation against the state, not below 0.
        mean: Mean deviation against the state.
        tail: s of a heavy-tailed deviation sigma exp(s eta - s^2) xi, eta and xi normal; absent: normal.
    """

    t: Second
    sigma: SiemensCurve
    mean: SiemensCurve | None = None
    tail: Relative | None = None


class Faults(StrictModel):
    """Cells that do not follow the distribution.

    Attributes:
        p_stuck_lrs: Fraction of cells stuck at g_max.
        p_stuck_hrs: Fraction of cells stuck at g_min.
        p_dead_row: Fraction of word lines that do not conduct.
        p_dead_col: Fraction of bit lines that do not conduct.
        p_outlier: Fraction of cells far from the mean.
        outlier_min: Smallest deviation of an outlier in units of sigma_d2d.
        outlier_max: Largest deviation of an outlier in units of sigma_d2d.
    """

    p_stuck_lrs: Probability | None = None
    p_stuck_hrs: Probability | None = None
    p_dead_row: Probability | None = None
    p_dead_col: Probability | None = None
    p_outlier: Probability | None = None
    outlier_min: Sigmas | None = None
    outlier_max: Sigmas | None = None

    @model_validator(mode="after")
    def _outliers(self) -> Self:
        if self.p_outlier is None:
            return self
        if self.outlier_min is None or self.outlier_max is None:
            raise ValueError("p_outlier needs outlier_min and outlier_max; add them")
        check_ascending(self.outlier_min, self.outlier_max, "outlier_min, outlier_max")
        return self


class Temperature(StrictModel):
    """What a temperature T other than the card's does.

    Conductance: G(T) = G (1 + tcr (T - t_ref)). Ageing: t seconds at T age a chip like
    t exp((e_a/k) (1/t_ref - 1/T)) seconds at t_ref.

    Attributes:
        t_ref: Temperature of the card's numbers.
        t_min: Lowest temperature the laws are backed by.
        t_max: Highest temperature the laws are backed by.
        tcr: Temperature coefficient of the conductance.
        e_a: Activation energy of ageing.
    """

    t_ref: Kelvin
    t_min: Kelvin
    t_max: Kelvin
    tcr: PerKelvin | None = None
    e_a: Electronvolt | None = None

    @model_validator(mode="after")
    def _range(self) -> Self:
        check_ascending(self.t_min, self.t_max, "t_min, t_max")
        return self


class Endurance(StrictModel):
    """Cells that fail by being switched: P(failed after n cycles) = Phi(ln(n / n_median) / sigma_ln).

    Attributes:
        n_median: Cycles that half of the cells survive.
        sigma_ln: Spread of the logarithm of the cycles to failure.
        p_lrs: Fraction of failed cells that are stuck at g_max, the others at g_min.
        n_max: Most cycles the law is backed by.
    """

    n_median: Cycles
    sigma_ln: Relative
    p_lrs: Probability
    n_max: Cycles


class Iv(StrictModel):
    """Current against voltage: I = G V0 sinh(V/V0) / s, or I = G V + n2(x) V^2 + n3(x) V^3, x = G/g_max.

    Attributes:
        v0: V0 of the sinh law.
        v_reference: Voltage at which the card's conductances I/V were measured: s = sinh(v/V0)/(v/V0) there.
            Absent or 0: they are slopes at 0 V, s = 1.
        n2: Quadratic coefficient against the state.
        n3: Cubic coefficient against the state.
    """

    v0: Annotated[Quantity, In("V", 1e-3, 20.0)] | None = None
    v_reference: Volt | None = None
    n2: Annotated[Curve, In("A/V^2", -1.0, 1.0)] | None = None
    n3: Annotated[Curve, In("A/V^3", -1.0, 1.0)] | None = None

    @model_validator(mode="after")
    def _one_law(self) -> Self:
        polynomial = [self.n2, self.n3]
        if (self.v0 is None) != all(polynomial) or (self.v0 and any(polynomial)):
            raise ValueError("give either v0 or both of n2, n3")
        if self.v_reference and self.v0 is None:
            raise ValueError("v_reference belongs to the sinh law; remove it or give v0")
        return self


class Read(StrictModel):
    """Reading.

    Attributes:
        v_read_max: Highest read voltage at which current is proportional to voltage and states keep.
    """

    v_read_max: Volt


class PulseLaw(StrictModel):
    """What a pulse of one polarity does: it moves a cell part of the way to the limit of its amplitude.

    The limit falls short of the cell's bound by (w/width)^-width_exponent exp(-(V - v_on)/v_scale) of its
    range; without v_on it is the bound, and all pulses are identical.

    Attributes:
        step: Share of the way to the limit that a pulse of the median cell goes.
        sigma_c2c: Spread from pulse to pulse, relative to the window g_max - g_min.
        sigma_bound: Spread of the bounds from device to device, relative to the window.
        v_start: Amplitude of the first pulse of write-verify.
        v_step: How much the next pulse is higher.
        v_max: Highest amplitude that the law is backed by.
        v_on: Amplitude above which the median cell moves.
        v_scale: Volts that divide the distance between limit and bound by e.
        sigma_v: Spread of v_on from device to device.
        v_line: Voltage of the line that drives the current, where the amplitude is that of a gate.
    """

    step: Probability
    sigma_c2c: Relative
    sigma_bound: Relative | None = None
    v_start: Volt
    v_step: Volt | None = None
    v_max: Volt | None = None
    v_on: Volt | None = None
    v_scale: Annotated[Quantity, In("V", 1e-3, 10.0)] | None = None
    sigma_v: Volt | None = None
    v_line: Volt | None = None

    @model_validator(mode="after")
    def _one_law(self) -> Self:
        given = [quantity is not None for quantity in (self.v_step, self.v_max, self.v_on, self.v_scale)]
        if any(given) and not all(given):
            raise ValueError("give all of v_step, v_max, v_on, v_scale, or none where pulses are identical")
        if self.v_max:
            check_ascending(self.v_start, self.v_max, "v_start, v_max")
        return self


class Switching(StrictModel):
    """Programming pulses, which move a cell between the bounds g_min and g_max.

    Attributes:
        set: Pulses that raise the conductance.
        reset: Pulses that lower it.
        sigma_step: Standard deviation from device to device of ln s in the share 1 - (1 - step)^s.
        width: Duration of a pulse, for which v_on holds.
        width_exponent: Power of the duration in the law of the limits; absent: no other duration.
        width_min: Shortest duration that the power is backed by.
        width_max: Longest duration that the power is backed by.
    """

    set: PulseLaw
    reset: PulseLaw
    sigma_step: Relative | None = None
    width: Second
    width_exponent: Relative | None = None
    width_min: Second | None = None
    width_max: Second | None = None

    @model_validator(mode="after")
    def _widths(self) -> Self:
        given = [quantity is not None for quantity in (self.width_exponent, self.width_min, self.width_max)]
        if any(given) and not all(given):
            raise ValueError("width_exponent, width_min and width_max come together; give all or none")
        if self.width_min and self.width_max:
            check_ascending(self.width_min, self.width_max, "width_min, width_max")
        return self


class DeviceCard(Card):
    """A memory technology: what one cell is. An absent section means that the effect is ideal."""

    schema_id = "neurosim.device/1"
    folder = "devices"

    conductance: Conductance
    forming: Forming | None = None
    programming: Programming | None = None
    relaxation: Annotated[tuple[Relaxation, ...], Field(strict=False)] = ()
    drift: Drift | None = None
    read_noise: ReadNoise | None = None
    faults: Faults | None = None
    temperature: Temperature | None = None
    endurance: Endurance | None = None
    iv: Iv | None = None
    read: Read | None = None
    switching: Switching | None = None

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if self.forming and self.conductance.g_mean is None:
            raise ValueError("conductance.g_mean: missing; a card with [forming] needs it")
        if self.faults and self.faults.p_outlier and self.conductance.sigma_d2d is None:
            raise ValueError("conductance.sigma_d2d: missing; faults.p_outlier is measured in it")
        if self.read_noise and self.read_noise.t_read and self.drift is None:
            raise ValueError("drift: missing; the 1/f law of [read_noise] needs its t0")
        if self.relaxation and self.programming is None:
            raise ValueError("programming: missing; [[relaxation]] starts from it")
        times = [point.t.value for point in self.relaxation]
        if times != sorted(set(times)):
            raise ValueError("relaxation: times must ascend; sort the tables by t")
        return self


class MacroCard(Card):
    """A macro: how many cells stand in one array, its converters and what an operation costs.

    Attributes:
        cell: Cell type, e.g. ``1T1R``.
        rows: Word lines.
        cols: Bit lines.
        r_wire_row, r_wire_col: Resistance of one cell's piece of a word line and of a bit line.
        r_source, r_sense: Resistance in series with a row driver and with a column's sense amplifier.
        dac_bits: Resolution of the row drivers; 0 is ideal.
        adc_bits: Resolution of the column converters; 0 is ideal.
        adc_full_scale: Differential column current at which the converter saturates.
        n_adcs: Column converters of one macro, which share its columns.
        v_read: Read voltage.
        t_read: Duration of a read.
        t_adc: Time of one conversion of ``adc_bits_ref`` bits.
        t_accumulate: Time of one digital addition.
        t_mac: Time of one digital multiply-accumulate of the readout.
        adc_bits_ref: Resolution that energy_adc, t_adc and area_adc are those of.
        adc_growth_energy: Factor of a conversion's energy for one more bit.
        adc_growth_area: Factor of a converter's area for one more bit.
        energy_adc: Energy of one conversion of ``adc_bits_ref`` bits.
        energy_row: Energy of driving one active row for one read.
        energy_accumulate: Energy of one digital addition (a spike counter, a membrane update).
        energy_mac: Energy of one digital multiply-accumulate of the readout.
        area_cell: Area of a cell.
        area_row: Area of a row driver.
        area_sample_hold: Area of a column's sample-and-hold.
        area_adc: Area of a converter of ``adc_bits_ref`` bits.
        area_accumulate: Area of the adder behind a converter.
    """

    schema_id = "neurosim.macro_card/1"
    folder = "devices"

    cell: str
    rows: Cells
    cols: Cells
    r_wire_row: Ohm | None = None
    r_wire_col: Ohm | None = None
    r_source: Ohm | None = None
    r_sense: Ohm | None = None
    dac_bits: Bits
    adc_bits: Bits
    adc_full_scale: Ampere
    n_adcs: Cells
    v_read: Volt
    t_read: Second
    t_adc: Delay
    t_accumulate: Delay
    t_mac: Delay
    adc_bits_ref: Resolution
    adc_growth_energy: Growth
    adc_growth_area: Growth
    energy_adc: Joule
    energy_row: Joule
    energy_accumulate: Joule
    energy_mac: Joule
    area_cell: SquareMetre
    area_row: SquareMetre
    area_sample_hold: SquareMetre
    area_adc: SquareMetre
    area_accumulate: SquareMetre


class PlatformCard(Card):
    """A digital machine that does the same work, for comparison.

    Attributes:
        precision: Type of its operands, e.g. ``int8``.
        energy_mac: Energy of one multiply-accumulate.
        energy_add: Energy of one addition.
        energy_weight: Energy of reading one weight from memory; 0 where the others contain it.
        mac_rate: Multiply-accumulates per second at its peak; absent: not known.
        area: Area of the chip; absent: not known.
    """

    schema_id = "neurosim.platform/1"
    folder = "devices"

    precision: str
    energy_mac: Joule
    energy_add: Joule
    energy_weight: Joule
    mac_rate: PerSecond | None = None
    area: SquareMetre | None = None


class Qubits(StrictModel):
    """Times of a circuit of qubits.

    Attributes:
        t_one_qubit: A gate on one qubit.
        t_two_qubit: A gate on two qubits.
        t_measure: A measurement.
        t_reset: From a measurement to the next shot: reset and repetition delay.
    """

    t_one_qubit: Delay
    t_two_qubit: Delay
    t_measure: Delay
    t_reset: Delay


class Photons(StrictModel):
    """Single photons in an interferometer.

    Attributes:
        rate: Photons per second of the source, which serves one input after another.
        transmittance: Share of the photons that are emitted, pass and are detected.
    """

    rate: PerSecond
    transmittance: Annotated[Quantity, In("1", 1e-3, 1.0)]


class QpuCard(Card):
    """A quantum processor: how long its circuits take and what the whole installation draws.

    Attributes:
        qubits: Of a processor with qubits.
        photons: Of a processor with photons.
        t_overhead: Time per job for control, compilation and network.
        n_circuits: Circuits that run at once.
        power: Power of the installation.
    """

    schema_id = "neurosim.qpu/1"
    folder = "devices"

    qubits: Qubits | None = None
    photons: Photons | None = None
    t_overhead: Annotated[Quantity, In("s", 0.0, 3600.0)]
    n_circuits: Cells
    power: Watt

    @model_validator(mode="after")
    def _one_technology(self) -> Self:
        if (self.qubits is None) == (self.photons is None):
            raise ValueError("give [qubits] or [photons], and not both")
        return self

    @property
    def technology(self) -> Qubits | Photons:
        """The section that the card has."""
        (one,) = (section for section in (self.qubits, self.photons) if section)
        return one


class Sensor(StrictModel):
    """Size of an event sensor: channels are width x height x polarities."""

    width: int = Field(ge=1, le=4096)
    height: int = Field(ge=1, le=4096)
    polarities: int = Field(ge=1, le=2)


FilePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")]


class Split(StrictModel):
    """One part of a data set.

    Attributes:
        n: Number of recordings, as published.
        data: Where they may stand below the data folder; the first place that is there is read.
        labels: File of the labels, for formats that keep them apart.
    """

    n: int = Field(ge=1)
    data: Annotated[tuple[FilePath, ...], Field(strict=False, min_length=1)]
    labels: FilePath | None = None


class DataFile(StrictModel):
    """A file to fetch.

    Attributes:
        name: Path below the data folder.
        url: Where it is; plain http only from this machine.
        sha256: Expected SHA-256, hex.
        md5: Expected MD5, hex, where the publisher gives no SHA-256.
        decompressed: Whether the sums are those of the decompressed bytes.
        max_bytes: Largest size that is accepted.
    """

    name: FilePath
    url: str = Field(pattern=r"^(https://|http://127\.0\.0\.1(:[0-9]+)?/)")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    decompressed: bool = False
    max_bytes: int = Field(ge=1)

    @model_validator(mode="after")
    def _has_sum(self) -> Self:
        if self.sha256 is None and self.md5 is None:
            raise ValueError("sha256: missing; add it (or md5 where the publisher gives no other)")
        return self


class DatasetCard(Card):
    """A data set of event recordings.

    Attributes:
        licence: SPDX identifier or name of the licence.
        redistributable: Whether the licence lets anybody pass the files on.
        format: Name of the reader.
        time_unit: Unit of time in the raw files, e.g. ``us``.
        classes: Class names, in the order of the labels.
        sensor: Size of the sensor.
        encoding: Whether images (formats ``idx`` and ``letters``) are seen by the simulated camera or become
            rates.
        transposed: Whether rows and columns of the images are exchanged (``idx``).
        first_label: What the files call the first class (``idx``).
        embedded: Whether the files ship with neurosim, in the folder of this card.
        splits: The parts by name.
        files: What ``neurosim datasets fetch`` downloads.
    """

    schema_id = "neurosim.dataset/1"
    folder = "datasets"

    licence: str
    redistributable: bool
    format: Literal["idx", "letters", "nmnist", "ntidigits", "fsdd", "espeak", "handwriting", "cortex"]
    time_unit: Literal["s", "ms", "us"]
    classes: Annotated[tuple[str, ...], Field(strict=False, min_length=2)]
    sensor: Sensor
    encoding: Literal["camera", "rate"] = "camera"
    transposed: bool = False
    first_label: int = Field(0, ge=0, le=255)
    embedded: bool = False
    splits: Annotated[dict[str, Split], Field(min_length=1)]
    files: Annotated[tuple[DataFile, ...], Field(strict=False)] = ()


# ---- loading ---------------------------------------------------------------------------------------

KINDS: dict[str, type[Card]] = {
    "device": DeviceCard,
    "macro": MacroCard,
    "platform": PlatformCard,
    "qpu": QpuCard,
    "dataset": DatasetCard,
}
CITATION = re.compile(r"10\.\d{4,9}/\S+|arXiv:\d{4}\.\d{4,5}|https://\S+|file:[^?]+\?\S*sha256=[0-9a-f]{64}")

C = TypeVar("C", bound=Card)


def load_device(name: str) -> DeviceCard:
    """The device card ``name``, or the one in the file ``name`` where that is a path to a ``.toml``."""
    return _load(DeviceCard, name)


def load_macro(name: str) -> MacroCard:
    """The macro card ``name``, or the one in the file ``name`` where that is a path to a ``.toml``."""
    return _load(MacroCard, name)


def load_platform(name: str) -> PlatformCard:
    """The platform card ``name``, or the one in the file ``name`` where that is a path to a ``.toml``."""
    return _load(PlatformCard, name)


def load_qpu(name: str) -> QpuCard:
    """The card ``name`` of a quantum processor, or the one in the file ``name`` where that is a ``.toml``."""
    return _load(QpuCard, name)


def load_dataset(name: str) -> DatasetCard:
    """The dataset card ``name``, or the one in the file ``name`` where that is a path to a ``.toml``."""
    return _load(DatasetCard, name)


def list_cards(kind: str) -> list[str]:
    """Names of the shipped cards of a kind: ``device``, ``macro``, ``platform``, ``qpu`` or ``dataset``."""
    if kind not in KINDS:
        raise CardError(f"unknown kind of card '{kind}'; {did_you_mean(kind, KINDS)}")
    return sorted(_index(KINDS[kind]))


def shipped_folder(name: str) -> Path:
    """Folder ``devices``, ``datasets`` or ``examples``: the one inside the wheel, else the checkout's.

    Raises:
        CardError: If neither is there.
    """
    package = Path(__file__).parent
    places = (package / "_cards" / name, package.parent / name)
    for place in places:
        if place.is_dir():
            return place
    raise CardError(f"no card folder {places[0]} and no {places[1]}; install the package again")


def quantities(card: Card) -> Iterator[tuple[str, Sourced]]:
    """Every quantity of a card with its key, e.g. ``("conductance.g_mean", Quantity(...))``."""

    def walk(key: str, node: Any) -> Iterator[tuple[str, Sourced]]:
        if isinstance(node, Sourced):
            yield key, node
        elif isinstance(node, StrictModel):
            for name in type(node).model_fields:
                yield from walk(f"{key}.{name}" if key else name, getattr(node, name))
        elif isinstance(node, tuple):
            for i, item in enumerate(node):
                yield from walk(f"{key}.{i}", item)

    return walk("", card)


def cite(card: Card) -> list[str]:
    """One line for each source of a card: key and address."""
    return [f"{key}: {_address(source)}" for key, source in card.sources.items()]


def _address(source: str) -> str:
    """Web address of a citation."""
    if source.startswith("10."):
        return f"https://doi.org/{source}"
    return source.replace("arXiv:", "https://arxiv.org/abs/")


def _index(model: type[Card]) -> dict[str, Path]:
    """Shipped cards of a kind by name. The name stands in the file, since two kinds may share one."""
    files = sorted(shipped_folder(model.folder).glob("*.toml"))
    heads = {file: _head(file, file.stat().st_mtime_ns) for file in files}
    return {name: file for file, (schema, name) in heads.items() if schema == model.schema_id}


@cache
def _head(path: Path, _modified: int) -> tuple[Any, str]:
    """Schema and name of a card; reading all cards takes longer than reading one."""
    table = read_toml(path, CardError)
    return table.get("schema"), str(table.get("name"))


def _load(model: type[C], name: str) -> C:
    """The card of a kind by its name or path."""
    if name.endswith(".toml"):
        return _read(model, Path(name))
    index = _index(model)
    if name not in index:
        kind = next(kind for kind, m in KINDS.items() if m is model)
        hint = did_you_mean(name, index)
        raise CardError(f"unknown {kind} card '{name}'; {hint} (your own card: give the path of its .toml)")
    return _read(model, index[name])


def _read(model: type[C], path: Path) -> C:
    """Check a card's schema line, its fields, and that every source that it uses is listed."""
    table = read_toml(path, CardError)
    schema = table.pop("schema", None)
    if schema != model.schema_id:
        raise CardError(f'{path}: schema: must be "{model.schema_id}", got {schema!r}; is it the right card?')
    card = validate(model, table, where=str(path), error=CardError)
    for key, source in card.sources.items():
        if not CITATION.fullmatch(source):
            raise CardError(
                f"{path}: sources.{key}: '{source}' is no DOI, arXiv:number, https:// address or "
                "file:NAME?sha256=HEX"
            )
    for key, quantity in quantities(card):
        for source in quantity.source:
            if source not in card.sources:
                hint = did_you_mean(source, card.sources)
                raise CardError(f"{path}: {key}: source '{source}' is not in [sources]; {hint}")
    return card
