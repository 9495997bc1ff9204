"""The liquid: wiring, weights, the kernel against its naive twin, states and homeostasis."""

import itertools
from dataclasses import replace
from typing import Any

import naive
import numba
import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neurosim import counter
from neurosim.array import draw_column_errors
from neurosim.config import validate
from neurosim.errors import ExperimentError, ShapeError
from neurosim.events.types import Binned, Sensor
from neurosim.reservoir import homeostasis, kernel, states
from neurosim.reservoir import layout as layout_module
from neurosim.reservoir import liquid as liquid_module
from neurosim.reservoir.config import HomeostasisConfig, ReservoirConfig, StatesConfig
from neurosim.reservoir.homeostasis import adapt_thresholds, firing_rates
from neurosim.reservoir.liquid import Liquid, build_liquid
from neurosim.reservoir.states import simulate, simulate_chips
from neurosim.reservoir.wiring import wire

SENSOR = Sensor(8, 7, 2)
N, N_STEPS, DT = 5, 24, 1e-3
TOPOLOGIES: dict[str, dict[str, Any]] = {
    "dense": {"n_neurons": 21},
    "sparse": {"n_neurons": 21, "p_connect": 0.2, "p_recurrent": 0.3},
    "local": {"n_neurons": 21, "patch": 3, "p_recurrent": 0.3},
    "shared": {"n_patches": 5, "patch": 3, "stride": 2, "input_scaling": 3e5},
}


def config_of(topology: str, **options: Any) -> ReservoirConfig:
    options = {"beta": 0.9, "input_scaling": 1.5e5, "homeostasis": None} | TOPOLOGIES[topology] | options
    return ReservoirConfig(topology=topology, **options)


def liquid_of(
    config: ReservoirConfig, *, noisy: bool = False, adc: bool = False, bent: bool = False, seed: int = 1
) -> Liquid:
    wiring = wire(config, SENSOR, seed=seed)
    draw = np.random.default_rng(seed)
    dg = draw.normal(0, 7e-6, wiring.shape).astype(np.float32)
    variance = draw.uniform(0, (3e-6) ** 2, wiring.shape).astype(np.float32) if noisy else None
    converter: dict[str, Any] = {"adc_step": 3e-6, "adc_full_scale": 4e-5} if adc else {}
    if bent:
        figures = {"sigma_gain": 0.2, "sigma_offset": 1.5, "inl": 2.0}
        converter["adc_errors"] = draw_column_errors(wiring.shape[1], **figures, seed=seed, name="chip0")
    return build_liquid(config, wiring, dg, dt=DT, seed=seed, white_variance=variance, **converter)


def recordings(n: int = N, sensor: Sensor = SENSOR, max_count: int = 1, n_steps: int = N_STEPS) -> Binned:
    draw = np.random.default_rng(2)
    counts = (draw.random((n, n_steps, sensor.n_channels)) < 0.08) * draw.integers(
        1, max_count, (n, n_steps, sensor.n_channels), endpoint=True
    )
    channels = np.repeat(np.tile(np.arange(sensor.n_channels, dtype=np.uint16), n * n_steps), counts.ravel())
    ends = np.concatenate([[0], np.cumsum(counts.sum(axis=2))])
    ptr = ends[np.arange(n)[:, None] * n_steps + np.arange(n_steps + 1)]
    return Binned(channels, ptr, np.zeros(n, np.int64), sensor, DT, ("a",), int(counts.max()))


def twin(liquid: Liquid, binned: Binned, i: int, noise: npt.NDArray[np.float32] | None = None) -> Any:
    cell = liquid.neurons()
    bend = np.stack([cell.adc_gain, cell.adc_offset, cell.adc_bow]) if len(cell.adc_gain) else None
    return naive.lif(
        *liquid.weights.matrices,
        binned.dense(i),
        liquid.threshold,
        liquid.beta,
        alpha=liquid.alpha,
        subtract=liquid.config.reset == "subtract",
        n_refractory=liquid.n_refractory,
        adc_step=liquid.adc_step,
        adc_max=liquid.adc_max,
        adc_bend=bend,
        noise=noise,
    )


def spikes_of(liquid: Liquid, binned: Binned, **options: Any) -> npt.NDArray[np.uint8]:
    spikes = simulate(liquid, binned, spikes=True, **options).spikes
    assert spikes is not None
    return spikes


# ---- several chips at once --------------------------------------------------------------------------


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("layout", ["dense", "runs"])
@pytest.mark.parametrize("weights", ["int8", "int16"])
def test_chips_side_by_side_fire_what_each_fires_alone(
    topology: str, layout: str, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout_module, "ADD_BYTES", 10**6 if layout == "dense" else -(10**6))
    monkeypatch.setattr(states, "FEW_COLUMNS", 10**6)
    monkeypatch.setattr(states, "BLOCK", 3)
    dale = {} if topology == "shared" else {"frac_excitatory": 0.7}
    config, binned = config_of(topology, weights=weights, **dale), recordings(5, max_count=2)
    liquids = [liquid_of(config, seed=seed, adc=True, bent=True, noisy=seed != 1) for seed in range(3)]
    together = simulate_chips(liquids, binned, noise_keys=[7, 8, 9], first_recording=2, spikes=True)
    for liquid, key, found in zip(liquids, [7, 8, 9], together, strict=True):
        alone = simulate(liquid, binned, noise_key=key, first_recording=2, spikes=True)
        assert_array_equal(found.x, alone.x)
        assert_array_equal(found.n_spikes, alone.n_spikes)
        assert_array_equal(found.spikes, alone.spikes)
        assert alone.n_spikes.min() > 0
    assert len({found.n_spikes.tobytes() for found in together}) == 3


# ---- kernel against twin ---------------------------------------------------------------------------


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize(
    ("reset", "t_refractory", "tau_syn", "adc"),
    [*itertools.product(["zero", "subtract"], [0.0, 2 * DT], [None, 2 * DT], [False, True])],
)
def test_kernel_fires_the_spikes_of_its_twin(
    topology: str, reset: str, t_refractory: float, tau_syn: float | None, adc: bool
) -> None:
    liquid = liquid_of(config_of(topology, reset=reset, t_refractory=t_refractory, tau_syn=tau_syn), adc=adc)
    binned = recordings(2)
    spikes = spikes_of(liquid, binned)
    assert_array_equal(spikes, [twin(liquid, binned, i) for i in range(2)])
    assert 0.005 < spikes.mean() < 0.6


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_converters_with_errors_fire_the_spikes_of_their_twin(topology: str) -> None:
    config, binned = config_of(topology), recordings(2)
    bent = liquid_of(config, adc=True, bent=True)
    spikes = spikes_of(bent, binned)
    assert_array_equal(spikes, [twin(bent, binned, i) for i in range(2)])
    assert (spikes != spikes_of(liquid_of(config, adc=True), binned)).mean() > 1e-3


def test_neurons_that_share_a_column_share_its_converter() -> None:
    liquid = liquid_of(config_of("shared"), adc=True, bent=True)
    gain = liquid.neurons().adc_gain.reshape(-1, 5)
    assert_array_equal(gain, np.tile(gain[0], (len(gain), 1)))
    assert len(np.unique(gain)) == 5


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("weights", ["int8", "int16"])
@pytest.mark.parametrize("layout", ["dense", "runs"])
def test_either_layout_of_either_integer_type_fires_the_same_spikes(
    topology: str, weights: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout_module, "ADD_BYTES", 10**6 if layout == "dense" else -(10**6))
    liquid = liquid_of(config_of(topology, weights=weights))
    inputs, recurrent = layout_module.side_by_side((liquid.weights,))
    assert bool(len(inputs.dense)) == (layout == "dense")
    assert inputs.dense.dtype == inputs.bank.dtype == weights
    if liquid.wiring.recurrent is not None:
        assert bool(len(recurrent.dense)) == (layout == "dense")
    binned = recordings(2, max_count=3)
    assert_array_equal(spikes_of(liquid, binned), [twin(liquid, binned, i) for i in range(2)])


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("layout", ["dense", "runs"])
def test_read_noise_has_the_variance_of_the_active_rows(
    topology: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout_module, "ADD_BYTES", 10**6 if layout == "dense" else -(10**6))
    liquid, binned = liquid_of(config_of(topology), noisy=True), recordings(3, max_count=2)
    key, first = 2**63 - 5, 70
    spikes = spikes_of(liquid, binned, noise_key=key, first_recording=first)
    var_in, var_rec = (v.astype(np.int64) for v in liquid.weights.variances)
    unit, z = np.float32(liquid.weights.variance_unit), np.empty(liquid.wiring.n_neurons, np.float32)
    for i in range(3):
        before = np.vstack([np.zeros_like(spikes[i, :1]), spikes[i, :-1]])
        variance = (binned.dense(i).astype(np.int64) @ var_in + before @ var_rec).astype(np.float32)
        noise = np.empty_like(variance)
        for t in range(N_STEPS):
            counter.fill_normals(key, (first + i) * N_STEPS + t, z)
            noise[t] = np.sqrt(variance[t] * unit) * z
        assert_array_equal(spikes[i], twin(liquid, binned, i, noise))
    assert (spikes != spikes_of(replace(liquid, weights=quiet(liquid)), binned)).any(), (
        "noise changed nothing"
    )


def quiet(liquid: Liquid) -> Any:
    return replace(liquid.weights, variance=np.empty(0, np.uint8), variance_unit=0.0)


def test_stored_variance_is_that_of_the_scaled_weights() -> None:
    config = config_of("dense", recurrent_scaling=1e5)
    wiring = wire(config, SENSOR, seed=1)
    variance = np.random.default_rng(0).uniform(0, 1e-11, wiring.shape).astype(np.float32)
    dg = np.full(wiring.shape, 1e-5, np.float32)
    weights = build_liquid(config, wiring, dg, dt=DT, seed=1, white_variance=variance).weights
    stored = weights.variance.reshape(wiring.shape) * weights.variance_unit * weights.lsb**2
    scale = np.where(np.arange(wiring.shape[0]) < SENSOR.n_channels, 1.5e5, 1e5)[:, None]
    unit = 1.5e5**2 * 1e-11 / 255
    assert_allclose(stored, variance * scale**2, atol=unit * 1.01)
    # rounding at random errs by at most half a unit (1 sd) at each of the rows
    error = stored.mean(axis=0) - (variance * scale**2).mean(axis=0)
    assert np.abs(error).max() < 5 * unit / 2 / np.sqrt(wiring.shape[0])


def test_weights_are_integers_times_one_scale() -> None:
    liquid = liquid_of(config_of("sparse", recurrent_scaling=5e4))
    wiring, weights = liquid.wiring, liquid.weights
    dg = np.random.default_rng(1).normal(0, 7e-6, wiring.shape).astype(np.float32)
    sides = (wiring.inputs, 1.5e5, weights.q_in), (wiring.recurrent, 5e4, weights.q_rec)
    for synapses, scaling, q in sides:
        assert synapses is not None
        exact = dg.ravel()[synapses.pair].astype(np.float64) * scaling
        assert_allclose(q[synapses.pair] * weights.lsb, exact, atol=weights.lsb * 0.501)
    assert_allclose(liquid.threshold * weights.lsb, 5.0, rtol=1e-6)


def test_reread_keeps_the_scale_and_moves_the_weights() -> None:
    liquid = liquid_of(config_of("dense"))
    dg = np.random.default_rng(9).normal(0, 7e-6, liquid.wiring.shape).astype(np.float32)
    moved = liquid.reread(dg)
    assert moved.weights.lsb == liquid.weights.lsb
    assert_array_equal(
        moved.weights.q_in,
        np.rint(dg.ravel().astype(np.float64) * (1.5e5 / liquid.weights.lsb)).astype(np.int16),
    )


@pytest.mark.parametrize("noisy", [False, True])
def test_any_number_of_threads_gives_the_same_bits(noisy: bool) -> None:
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one core")
    liquid, binned = liquid_of(config_of("dense"), noisy=noisy), recordings(11)
    before = numba.get_num_threads()
    results = []
    try:
        for n_threads in (1, 2):
            numba.set_num_threads(n_threads)
            results.append(simulate(liquid, binned, spikes=True, noise_key=3))
    finally:
        numba.set_num_threads(before)
    assert_array_equal(results[0].spikes, results[1].spikes)
    assert_array_equal(results[0].x, results[1].x)


def test_parts_of_a_set_give_what_the_whole_set_gives() -> None:
    liquid, binned = liquid_of(config_of("local"), noisy=True), recordings(7)
    whole = simulate(liquid, binned, noise_key=4)
    done: list[int] = []
    parts = [
        simulate(liquid, binned[a:b], noise_key=4, first_recording=a, progress=done.append)
        for a, b in [(0, 3), (3, 7)]
    ]
    assert_array_equal(np.concatenate([part.x for part in parts]), whole.x)
    assert_array_equal(np.concatenate([part.n_spikes for part in parts]), whole.n_spikes)
    assert done == [3, 4]


def test_float_weights_fire_nearly_the_same_rate() -> None:
    binned = recordings()
    exact, single = (
        simulate(liquid_of(config_of("dense", weights=w)), binned).n_spikes for w in ("int16", "float32")
    )
    assert_allclose(single.sum(), exact.sum(), rtol=0.02)


@pytest.mark.parametrize(
    ("weights", "max_count", "dtype"),
    [
        ("int8", 1, np.int16),
        ("int8", 30, np.int32),
        ("int16", 1, np.int32),
        ("int16", 5000, np.int64),
        ("float32", 1, np.float32),
    ],
)
def test_sums_have_a_type_that_cannot_overflow(weights: str, max_count: int, dtype: type) -> None:
    liquid = liquid_of(config_of("dense", weights=weights))
    chosen = liquid.weights.sum_dtype(max_count)
    assert chosen == dtype
    if weights != "float32":
        w_in, w_rec = (np.abs(m.astype(np.int64)).sum(axis=0).max() for m in liquid.weights.matrices)
        assert w_in * max_count + w_rec <= np.iinfo(chosen).max


def test_largest_possible_sum_does_not_overflow() -> None:
    """Every channel at once, as often as it may, with every weight at its largest."""
    config = config_of("dense", weights="int8", n_neurons=2, v_threshold=1e9)
    wiring = wire(config, SENSOR, seed=1)
    for max_count in (1, 2):
        liquid = build_liquid(config, wiring, np.full(wiring.shape, 1e-5, np.float32), dt=DT, seed=1)
        liquid = liquid.with_thresholds(np.array([SENSOR.n_channels * max_count * 101.5] * 2, np.float32))
        channels = np.repeat(np.arange(SENSOR.n_channels, dtype=np.uint16), max_count)
        ptr = np.array([[0, len(channels)]])
        binned = Binned(channels, ptr, np.zeros(1, np.int64), SENSOR, DT, ("a",), max_count)
        assert_array_equal(liquid.weights.q_in, 102)
        assert simulate(liquid, binned).n_spikes == 2


# ---- states ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["count", "rate", "trace"])
@pytest.mark.parametrize("n_segments", [1, 5])
@pytest.mark.parametrize(("topology", "pool"), [("dense", 1), ("shared", 1), ("shared", 2)])
def test_states_are_sums_over_the_spikes(kind: str, n_segments: int, topology: str, pool: int) -> None:
    config = config_of(
        topology, states=StatesConfig(kind=kind, n_segments=n_segments, pool=pool, tau_trace=5e-3)
    )
    liquid, binned = liquid_of(config), recordings(3)
    result = simulate(liquid, binned, spikes=True)
    assert result.spikes is not None
    expected = naive.states(result.spikes, liquid.wiring.feature, kind, n_segments, DT, 5e-3)
    assert_allclose(result.x, expected, rtol=1e-5)
    assert_array_equal(result.n_spikes, result.spikes.sum(axis=(1, 2)))
    assert result.x.dtype == (np.uint8 if kind == "count" else np.float32)
    assert result.x.any()


@pytest.mark.parametrize(("n_steps", "dtype"), [(255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
def test_counts_have_a_type_that_cannot_overflow(n_steps: int, dtype: type) -> None:
    liquid = liquid_of(config_of("sparse"))
    assert states.readings_for(liquid, n_steps).step_weight.dtype == dtype


# ---- wiring ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_no_source_drives_a_neuron_twice_and_no_pair_serves_both_sides(topology: str) -> None:
    wiring = wire(config_of(topology), SENSOR, seed=3)
    for synapses in filter(None, (wiring.inputs, wiring.recurrent)):
        edges = np.stack([synapses.pre, synapses.post], axis=1)
        assert len(np.unique(edges, axis=0)) == len(edges)
        assert synapses.pre.min() >= 0
        assert synapses.pre.max() < synapses.n_pre
        assert set(synapses.post) == set(range(wiring.n_neurons))
    used = [set(s.pair) for s in (wiring.inputs, wiring.recurrent) if s is not None]
    assert set.union(*used) == set(range(wiring.shape[0] * wiring.shape[1]))
    assert sum(map(len, used)) == wiring.shape[0] * wiring.shape[1]


def test_dense_and_sparse_fan_in() -> None:
    for topology, k_in, k_rec in [("dense", 112, 21), ("sparse", round(0.2 * 112), round(0.3 * 21))]:
        wiring = wire(config_of(topology), SENSOR, seed=3)
        assert wiring.recurrent is not None
        assert_array_equal(np.bincount(wiring.inputs.post), k_in)
        assert_array_equal(np.bincount(wiring.recurrent.post), k_rec)
        assert wiring.shape == (k_in + k_rec, 21)
        assert_array_equal(wiring.inputs.pair % 21, wiring.inputs.post)  # a column of its own each
    assert wire(config_of("dense"), SENSOR, seed=3).reads_per_step == 1
    assert wire(config_of("sparse"), SENSOR, seed=3).reads_per_step == 21


def test_sparse_without_p_recurrent_takes_p_connect_and_local_none() -> None:
    sparse = wire(config_of("sparse", p_recurrent=None), SENSOR, seed=3)
    assert sparse.recurrent is not None
    assert len(sparse.recurrent.pre) == 21 * round(0.2 * 21)
    assert wire(config_of("local", p_recurrent=None), SENSOR, seed=3).recurrent is None


def test_local_neurons_see_one_square_inside_the_sensor() -> None:
    wiring = wire(config_of("local", n_neurons=300), SENSOR, seed=3)
    corners = set()
    for j in range(300):
        channel = wiring.inputs.pre[wiring.inputs.post == j]
        y, x = np.divmod(channel // 2, SENSOR.width)
        top, left = int(y.min()), int(x.min())
        square = itertools.product(range(top, top + 3), range(left, left + 3), range(2))
        assert sorted(zip(y, x, channel % 2, strict=True)) == list(square)
        corners.add((top, left))
    assert corners == set(itertools.product(range(5), range(6)))  # every place there is


def test_shared_bank_is_read_at_every_stride() -> None:
    wiring = wire(config_of("shared", states=StatesConfig(pool=2)), SENSOR, seed=3)
    positions = list(itertools.product(range(0, 5, 2), range(0, 6, 2)))
    assert (wiring.shape, wiring.n_neurons, wiring.reads_per_step) == ((18, 5), 9 * 5, 9)
    for k, (top, left) in enumerate(positions):
        for patch in range(5):
            mine = wiring.inputs.post == k * 5 + patch
            wanted = {
                (((top + dy) * SENSOR.width + left + dx) * 2 + p, ((dy * 3 + dx) * 2 + p) * 5 + patch)
                for dy, dx, p in itertools.product(range(3), range(3), range(2))
            }
            assert set(zip(wiring.inputs.pre[mine], wiring.inputs.pair[mine], strict=True)) == wanted
            row, column = divmod(k, 3)
            assert wiring.feature[k * 5 + patch] == ((row // 2) * 2 + column // 2) * 5 + patch
    assert wiring.n_features == 4 * 5


def test_wiring_follows_seed_and_chip() -> None:
    config = config_of("sparse")
    same, again = wire(config, SENSOR, seed=3, chip=1), wire(config, SENSOR, seed=3, chip=1)
    assert_array_equal(same.inputs.pre, again.inputs.pre)
    for other in (wire(config, SENSOR, seed=4, chip=1), wire(config, SENSOR, seed=3, chip=0)):
        assert (same.inputs.pre != other.inputs.pre).any()


def test_dales_law_gives_every_neuron_one_sign() -> None:
    liquid = liquid_of(config_of("dense", n_neurons=40, frac_excitatory=0.8))
    free = liquid_of(config_of("dense", n_neurons=40))
    _, recurrent = liquid.weights.matrices
    excites = (recurrent >= 0).all(axis=1)
    inhibits = (recurrent <= 0).all(axis=1)
    assert (excites.sum(), inhibits.sum()) == (32, 8)
    assert_array_equal(np.abs(recurrent), np.abs(free.weights.matrices[1]))
    binned = recordings(2)
    assert_array_equal(spikes_of(liquid, binned), [twin(liquid, binned, i) for i in range(2)])


@pytest.mark.parametrize("topology", ["dense", "sparse", "local"])
@pytest.mark.parametrize("frac_excitatory", [None, 0.8])
@pytest.mark.parametrize("dense_up_to", [1000, 10])
def test_spectral_radius_is_that_of_the_weights_over_the_threshold(
    topology: str, frac_excitatory: float | None, dense_up_to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liquid_module, "DENSE_EIGENVALUES", dense_up_to)
    config = config_of(topology, n_neurons=60, spectral_radius=0.7, frac_excitatory=frac_excitatory)
    weights = liquid_of(config).weights
    eigenvalues = np.linalg.eigvals(weights.matrices[1] * weights.lsb / config.v_threshold)
    assert np.abs(eigenvalues).max() == pytest.approx(0.7, rel=5e-3)


@pytest.mark.parametrize("dense_up_to", [1000, 10])
def test_cells_that_did_not_form_have_no_spectral_radius(
    dense_up_to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liquid_module, "DENSE_EIGENVALUES", dense_up_to)
    config = config_of("dense", spectral_radius=0.7)
    wiring = wire(config, SENSOR, seed=1)
    with pytest.raises(ExperimentError, match="recurrent weights have radius 0"):
        build_liquid(config, wiring, np.zeros(wiring.shape, np.float32), dt=DT, seed=1)


@pytest.mark.parametrize("key", ["frac_excitatory", "recurrent_scaling", "spectral_radius"])
def test_recurrent_weights_are_not_asked_of_a_liquid_without(key: str) -> None:
    with pytest.raises(ExperimentError, match=f"reservoir.{key}: this 'local' liquid has no recurrent"):
        liquid_of(config_of("local", p_recurrent=None, **{key: 0.5}))


def test_keys_of_another_topology_are_refused() -> None:
    with pytest.raises(
        ExperimentError, match="topology 'shared' has no n_neurons, p_recurrent; remove it; allow"
    ):
        validate(
            ReservoirConfig,
            {"topology": "shared", "n_neurons": 9, "p_recurrent": 0.1, "frac_excitatory": None, "beta": 0.9},
            where="x.toml",
            error=ExperimentError,
        )


# ---- homeostasis -----------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", ["dense", "local"])
def test_homeostasis_reaches_its_target(topology: str) -> None:
    liquid, binned = liquid_of(config_of(topology, n_neurons=30), noisy=True), recordings(60, n_steps=50)
    assert np.mean(np.abs(firing_rates(liquid, binned) - 10) < 1) < 0.2, "nothing to adapt"
    adapted = adapt_thresholds(liquid, binned, HomeostasisConfig(rate_target=10.0, n_recordings=60))
    rates = firing_rates(adapted, binned)
    assert rates.mean() == pytest.approx(10, rel=0.1)
    assert np.mean(np.abs(rates - 10) < 1) > 0.9


@pytest.mark.parametrize("topology", ["local", "shared"])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_neurons_that_drive_no_others_settle_as_pass_by_pass(
    topology: str, reset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"p_recurrent": None, "n_neurons": 300} if topology == "local" else {}
    config = config_of(topology, reset=reset, t_refractory=2 * DT, tau_syn=2 * DT, **options)
    liquid, binned = liquid_of(config, adc=True, bent=True, noisy=True), recordings(20)
    assert liquid.wiring.n_neurons % kernel.LANES, "the last block is not full"
    target = HomeostasisConfig(rate_target=20.0, n_recordings=15, n_iterations=7)
    settled = adapt_thresholds(liquid, binned, target, noise_key=5)
    monkeypatch.setattr(homeostasis, "KEPT_BYTES", 0)
    assert_array_equal(settled.threshold, adapt_thresholds(liquid, binned, target, noise_key=5).threshold)
    assert np.abs(np.log(settled.threshold / liquid.threshold)).max() > 0.1


def test_a_step_of_homeostasis_is_that_of_its_twin() -> None:
    before, n_spikes = np.array([1.0, 2.0, 40.0, 7.0], np.float32), np.array([0, 30, 500, 3])
    log_threshold, after = np.log(before.astype(np.float64)), np.empty(4, np.float32)
    kernel.adapt(log_threshold, n_spikes, 2.5, np.float32(10.0), np.float32(0.7), after)
    assert_allclose(after, naive.adapted(before, n_spikes, 2.5, 10.0, 0.7), rtol=1e-6)
    assert_allclose(np.exp(log_threshold), after, rtol=1e-6)


def test_firing_rates_are_spikes_per_time() -> None:
    liquid, binned = liquid_of(config_of("dense")), recordings(70)
    spikes = spikes_of(liquid, binned)
    assert_allclose(firing_rates(liquid, binned), spikes.sum(axis=(0, 1)) / (70 * N_STEPS * DT), rtol=1e-6)


# ---- errors ----------------------------------------------------------------------------------------


def test_refractory_period_longer_than_the_kernel_counts() -> None:
    assert liquid_of(config_of("dense", t_refractory=255 * DT)).n_refractory == 255
    with pytest.raises(ExperimentError, match=r"t_refractory \(=0.3 s\) is longer than 255 steps of 0.001 s"):
        liquid_of(config_of("dense", t_refractory=0.3))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "give exactly one of beta and tau_mem"),
        ({"beta": 0.9, "tau_mem": 0.1}, "give exactly one of beta and tau_mem"),
        (
            {"beta": 0.9, "recurrent_scaling": 1.0, "spectral_radius": 1.0},
            "give recurrent_scaling or spectral",
        ),
        ({"beta": 0.9, "states": {"pool": 2}}, "needs topology = 'shared'"),
        ({"beta": 0.9, "n_neuron": 3}, "unknown key; did you mean 'n_neurons'"),
    ],
)
def test_wrong_config_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        validate(ReservoirConfig, table, where="[reservoir]", error=ExperimentError)


@pytest.mark.parametrize("topology", ["local", "shared"])
def test_patch_larger_than_the_sensor_is_refused(topology: str) -> None:
    with pytest.raises(ExperimentError, match=r"reservoir.patch \(=8\) is larger than the sensor \(8 x 7\)"):
        wire(config_of(topology, patch=8), SENSOR, seed=1)


def test_too_many_shared_neurons_are_refused() -> None:
    with pytest.raises(ExperimentError, match="make 4014080 neurons, more than 65535; lower n_patches"):
        wire(config_of("shared", patch=1, stride=1, n_patches=4096), Sensor(35, 28), seed=1)


def test_crossbar_of_another_shape_is_refused() -> None:
    config = config_of("dense")
    with pytest.raises(ShapeError, match=r"crossbar of shape \(3, 3\) given, the wiring needs \(133, 21\)"):
        build_liquid(config, wire(config, SENSOR, seed=1), np.zeros((3, 3), np.float32), dt=DT, seed=1)


def test_recordings_of_another_sensor_are_refused() -> None:
    with pytest.raises(ShapeError, match="recordings have 9 channels, the liquid 112"):
        simulate(liquid_of(config_of("dense")), recordings(1, Sensor(3, 3)))


def test_more_segments_than_steps_are_refused() -> None:
    liquid = liquid_of(config_of("dense", states=StatesConfig(n_segments=25)))
    with pytest.raises(
        ExperimentError, match=r"states.n_segments \(=25\) is larger than events.n_steps \(=24\)"
    ):
        simulate(liquid, recordings(1))


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(ExperimentError, match="unknown engine 'numbas'; did you mean 'numba'"):
        simulate(liquid_of(config_of("dense")), recordings(1), engine="numbas")  # type: ignore[arg-type]
