from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from test_reservoir_kernel import DT, SENSOR, TOPOLOGIES, config_of, liquid_of, recordings

from neurosim.array import ArrayConfig, calibrate
from neurosim.device import DeviceConfig
from neurosim.errors import OutOfRangeError
from neurosim.reservoir.calibration import calibrate_converters, clipped_share, column_currents
from neurosim.reservoir.chip import Chip, make_chip
from neurosim.reservoir.config import HomeostasisConfig
from neurosim.reservoir.states import simulate


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_column_currents_are_sums_over_active_rows(topology: str) -> None:
    liquid, binned = liquid_of(config_of(topology)), recordings(3, max_count=2)
    spikes = simulate(liquid, binned, spikes=True).spikes
    assert spikes is not None
    w_in, w_rec = (w.astype(np.int64) for w in liquid.weights.matrices)
    for chosen in ([0, 1, 2], [1, 2], [0, 2]):
        part = binned[np.isin(range(3), chosen)]
        currents = column_currents(liquid, part)
        for i, k in enumerate(chosen):
            before = np.zeros(liquid.wiring.n_neurons, np.int64)
            for t, x in enumerate(part.dense(i)):
                assert_array_equal(currents[i, t], x @ w_in + before @ w_rec)
                before = spikes[k, t].astype(np.int64)


def test_full_scale_leaves_out_the_share_that_may_saturate() -> None:
    liquid, binned = liquid_of(config_of("sparse")), recordings(16)
    for share in (0.0, 0.01, 0.2):
        calibrated = calibrate_converters(liquid, binned, 6, share)
        assert calibrated.adc_step == pytest.approx(calibrated.adc_max / 31)
        currents = column_currents(liquid, binned)
        outside = np.mean(np.abs(currents[currents != 0]) > calibrated.adc_max)
        assert outside == pytest.approx(share, abs=2e-3)
        assert clipped_share(calibrated, binned) == pytest.approx(share, abs=0.02)
    assert clipped_share(liquid, binned) == 0.0


def test_errors_of_the_converters_count_where_they_saturate() -> None:
    binned, far = recordings(16), 1e4  # steps
    chip = chip_of(adc_bits=5, adc_full_scale="calibrated", adc_clip=0.01, adc_sigma_offset=far)
    assert chip.calibrated(binned).clipped_share(binned) > 0.9


def test_currents_of_nothing_set_no_scale() -> None:
    with pytest.raises(OutOfRangeError, match=r"every column current is 0, .*give adc_full_scale in ampere"):
        calibrate(np.zeros(4), 0.1)


def chip_of(**array: Any) -> Chip:
    config = config_of("sparse", homeostasis=HomeostasisConfig(n_iterations=3))
    return make_chip(config, DeviceConfig(), ArrayConfig(**array), sensor=SENSOR, dt=DT, seed=0)


def test_a_chip_calibrates_its_converters_before_its_thresholds() -> None:
    binned = recordings(16)
    raw = chip_of(adc_bits=5, adc_full_scale="calibrated", adc_clip=0.01, adc_inl=0.5)
    assert raw.liquid.adc_step == 0
    chip = raw.calibrated(binned)
    assert 0 < chip.clipped_share(binned) < 0.05
    assert len(chip.liquid.neurons().adc_bow) == chip.liquid.wiring.n_neurons
    assert (chip.liquid.threshold != raw.liquid.threshold).any()
    fixed = chip_of(adc_bits=5).calibrated(binned)
    assert fixed.liquid.adc_max == chip_of(adc_bits=5).liquid.adc_max
