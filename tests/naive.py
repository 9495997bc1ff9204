"""Obvious-loop twins of every kernel, to be read and believed."""

from itertools import combinations, permutations
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import constants
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.stats import poisson

from neurosim import counter
from neurosim.baselines.quantum.circuit import Circuit, Slot

# --- array ---


def convert(current: np.float32, step: np.float32, full_scale: np.float32) -> np.float32:
    """What a converter reports for one current."""
    level = np.rint(current / step) * step
    return min(max(level, -full_scale), full_scale)


def bend(
    current: np.float32, full_scale: np.float32, gain: np.float32, offset: np.float32, bow: np.float32
) -> np.float32:
    """A current as a converter with a gain, an offset and a bow takes it, every rounding in float32."""
    x = current * gain + offset
    y = min(max(x / full_scale, np.float32(-1)), np.float32(1))
    return x + bow * (y - y * y * y)


def lay_out(
    shape: tuple[int, int], block: tuple[int, int], macro: tuple[int, int]
) -> list[npt.NDArray[np.int64]]:
    """Number of uses of every cell of the macros (rows, cols) that take a crossbar's blocks one by one."""
    rows, cols = shape
    macros: list[npt.NDArray[np.int64]] = []
    places: list[tuple[int, int, int]] = []
    for top in range(0, rows, block[0]):
        for left in range(0, cols, block[1]):
            if not places:
                macros.append(np.zeros(macro, np.int64))
                for y in range(0, macro[0] - block[0] + 1, block[0]):
                    for x in range(0, macro[1] - 2 * block[1] + 1, 2 * block[1]):
                        places.append((len(macros) - 1, y, x))
            number, y, x = places.pop()
            height, width = min(block[0], rows - top), min(block[1], cols - left)
            macros[number][y : y + height, x : x + 2 * width] += 1
    return macros


# --- reservoir/kernel.py ---


def lif(
    w_in: npt.NDArray[Any],
    w_rec: npt.NDArray[Any],
    x: npt.NDArray[Any],
    threshold: npt.NDArray[np.float32],
    beta: float,
    alpha: float = 0.0,
    subtract: bool = False,
    n_refractory: int = 0,
    adc_step: float = 0.0,
    adc_max: float = 0.0,
    adc_bend: npt.NDArray[np.float32] | None = None,
    noise: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.uint8]:
    """Spikes (n_steps, n_neurons) of one recording: integer weights, every rounding in float32.

    Args:
        w_in: Integers (n_inputs, n_neurons).
        w_rec: Integers (n_neurons, n_neurons).
        x: Counts (n_steps, n_inputs).
        threshold: (n_neurons,).
        beta: Membrane left after a step.
        alpha: Synaptic current left after a step; 0: none.
        subtract: Reset by subtraction instead of to zero.
        n_refractory: Steps in which a neuron's membrane is frozen and its input lost after a spike.
        adc_step: Step of the converter; 0: none.
        adc_max: Its full scale.
        adc_bend: Gain, offset and bow of the converters, (3, n_neurons).
        noise: Added to the current, (n_steps, n_neurons).
    """
    w_in, w_rec, x = (a.astype(np.int64) for a in (w_in, w_rec, x))
    beta, alpha, adc_step, adc_max = (np.float32(a) for a in (beta, alpha, adc_step, adc_max))
    n_steps, n = len(x), len(threshold)
    v, synapse, frozen = np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.int64)
    spikes = np.zeros((n_steps, n), np.uint8)
    before = np.zeros(n, np.int64)
    for t in range(n_steps):
        for j in range(n):
            current = np.float32(x[t] @ w_in[:, j] + before @ w_rec[:, j])
            if noise is not None:
                current = current + noise[t, j]
            if adc_bend is not None:
                current = bend(current, adc_max, *adc_bend[:, j])
            if adc_step > 0:
                current = convert(current, adc_step, adc_max)
            if alpha > 0:
                synapse[j] = alpha * synapse[j] + current
                current = synapse[j]
            if frozen[j] > 0:
                frozen[j] -= 1
                continue
            v[j] = beta * v[j] + current
            if v[j] > threshold[j]:
                spikes[t, j] = 1
                v[j] = v[j] - threshold[j] if subtract else 0
                frozen[j] = n_refractory
        before = spikes[t].astype(np.int64)
    return spikes


def whole(x: int, multiplier: int, bits: int) -> int:
    """``x multiplier / 2^bits`` to the nearest integer, halves upwards."""
    return (2 * x * multiplier + 2**bits) // 2 ** (bits + 1)


def fixed_lif(
    w_in: list[list[int]],
    w_rec: list[list[int]],
    x: list[list[int]],
    threshold: list[int],
    *,
    fraction_bits: int,
    leak: int,
    leak_bits: int,
    membrane_bits: int,
    synapse_leak: int = 0,
    adc: tuple[int, int, int] | None = None,
    subtract: bool = False,
    n_refractory: int = 0,
) -> list[list[int]]:
    """Spikes of one recording in Python's integers; ``adc``: factor, shift and largest code."""
    top = 2 ** (membrane_bits - 1) - 1
    n = len(threshold)
    v, synapse, frozen, before = [0] * n, [0] * n, [0] * n, [0] * n
    spikes = []
    for counts in x:
        fired = [0] * n
        for j in range(n):
            current = sum(c * row[j] for c, row in zip(counts, w_in, strict=True))
            current += sum(s * row[j] for s, row in zip(before, w_rec, strict=True))
            if adc:
                current = max(-adc[2], min(adc[2], whole(current, *adc[:2])))
            current *= 2**fraction_bits
            if synapse_leak:
                synapse[j] = max(-top, min(top, whole(synapse[j], synapse_leak, leak_bits) + current))
                current = synapse[j]
            if frozen[j]:
                frozen[j] -= 1
                continue
            v[j] = max(-top, min(top, whole(v[j], leak, leak_bits) + current))
            if v[j] > threshold[j]:
                fired[j] = 1
                v[j] = v[j] - threshold[j] if subtract else 0
                frozen[j] = n_refractory
        before = fired
        spikes.append(fired)
    return spikes


def states(
    spikes: npt.NDArray[np.uint8],
    feature: npt.NDArray[np.int32],
    kind: str,
    n_segments: int,
    dt: float,
    tau_trace: float,
) -> npt.NDArray[np.float64]:
    """States (n, n_segments * n_features) of the spikes (n, n_steps, n_neurons)."""
    n, n_steps, _ = spikes.shape
    segment = [t * n_segments // n_steps for t in range(n_steps)]
    n_features = max(feature) + 1
    out = np.zeros((n, n_segments, n_features))
    for i, t, j in np.argwhere(spikes):
        steps = [step for step in range(n_steps) if segment[step] == segment[t]]
        match kind:
            case "count":
                out[i, segment[t], feature[j]] += 1
            case "rate":
                out[i, segment[t], feature[j]] += 1 / (len(steps) * dt)
            case "trace":
                out[i, segment[t], feature[j]] += np.exp(-(steps[-1] - t) * dt / tau_trace)
    return out.reshape(n, -1)


# --- device/noise.py ---


def ou_steps(
    key: int,
    first: int,
    decay: npt.NDArray[np.float32],
    kick: npt.NDArray[np.float32],
    modes: npt.NDArray[np.float32],
    block: int,
) -> npt.NDArray[np.float32]:
    """Every mode of every cell, y <- decay y + kick xi, and at each step the sum of the modes of each cell.

    The xi of a mode come in blocks of ``block`` cells, each block with a counter of its own.
    """
    n_steps, n_modes = decay.shape
    n_cells = modes.shape[1]
    n_blocks = -(-n_cells // block)
    out = np.zeros((n_steps, n_cells), np.float32)
    for step in range(n_steps):
        for k in range(n_modes):
            xi = np.empty((n_blocks, block), np.float32)
            for b in range(n_blocks):
                counter.fill_normals(key, ((first + step) * n_modes + k) * n_blocks + b, xi[b])
            for cell in range(n_cells):
                modes[k, cell] = decay[step, k] * modes[k, cell] + kick[step, k] * xi.ravel()[cell]
                out[step, cell] += modes[k, cell]
    return out


# --- events/camera.py ---


def record(
    level: npt.NDArray[np.float64],
    key: int,
    thresholds: npt.NDArray[np.float64],
    path: npt.NDArray[np.float64],
    pixel: Any,
) -> list[tuple[int, int]]:
    """Events (t_us, channel) of one recording: pixel by pixel, step by step."""
    (n_polarities, height, width), peaks = thresholds.shape, (0.050, 0.152, 0.257)
    phase, jitter, background = (np.uint64(counter.mix(key, use)) for use in range(3))
    delays = [pixel.sigma_jitter * counter.normal(jitter, k) for k in range(len(peaks))]
    events = []
    for y in range(height):
        for x in range(width):
            off, on = thresholds[:, y, x]
            v, free = None, 0.0
            for step in range(pixel.n_steps + 1):
                now, last = step * pixel.time_step, (step - 1) * pixel.time_step
                shifted = now - np.interp(now, peaks, delays)
                left = pixel.margin - np.interp(shifted, path[:, 0], path[:, 1])
                top = pixel.margin - np.interp(shifted, path[:, 0], path[:, 2])
                i, j = int(np.floor(top)), int(np.floor(left))
                fy, fx = top - i, left - j
                seen = (1 - fy) * (1 - fx) * level[y + i, x + j] + (1 - fy) * fx * level[y + i, x + j + 1]
                seen = seen + fy * (1 - fx) * level[y + i + 1, x + j]
                seen = seen + fy * fx * level[y + i + 1, x + j + 1]
                if v is None:
                    v = seen
                    ref = seen - on + counter.uniform(phase, y * width + x) * (on + off)
                before, v = v, v + (1 - np.exp(-pixel.time_step / pixel.tau)) * (seen - v)
                while v - ref >= on or ref - v >= off:
                    polarity = int(v > ref)
                    target = ref + on if polarity else ref - off
                    across = before >= target if polarity else before <= target
                    t = last if across else last + pixel.time_step * abs(target - before) / abs(v - before)
                    t = max(t, free)
                    if t >= now:
                        break
                    events.append((int(t * 1e6), (y * width + x) * n_polarities + polarity))
                    ref, free = target, t + pixel.refractory
    t, draw = 0.0, 0
    while pixel.background_rate > 0:
        t -= np.log(counter.uniform(background, draw)) / (pixel.background_rate * width * height)
        if t >= pixel.n_steps * pixel.time_step:
            break
        events.append((int(t * 1e6), int(counter.uniform(background, draw + 1) * 2 * width * height)))
        draw += 2
    return sorted(events)


# --- events/cochlea.py ---


def hear(
    sound: npt.NDArray[np.float64], key: int, speed: float, pitch: float, ear: Any
) -> list[tuple[int, int]]:
    """Events (t_us, channel) of one recording: channel by channel, sample by sample."""
    membrane, background = (np.uint64(counter.mix(key, use)) for use in range(2))
    rate, n_channels = ear.sample_rate, len(ear.centre)
    events = []
    for c, f in enumerate(ear.centre):
        width = 1.019 * 24.7 * (4.37 * f / 1000 + 1)
        pole = np.exp(2 * np.pi * (1j * f - width) / pitch / rate)
        filtered = sound.astype(complex)
        for _ in range(4):
            for s in range(1, len(filtered)):
                filtered[s] += pole * filtered[s - 1]
        heard = 2 * (1 - abs(pole)) ** 4 * filtered.real
        v, free = 0.5 * counter.uniform(membrane, c), 0.0
        for s, x in enumerate(heard):
            last, now = s / (rate * speed), (s + 1) / (rate * speed)
            if now <= free:
                continue
            before = v
            current = ear.gain[c] * max(x, 0.0) ** ear.compression
            v += (1 - np.exp(-(now - last) / ear.tau)) * (current - v)
            if v >= 1:
                t = last + (now - last) * (1 - before) / (v - before)
                events.append((int(t * 1e6), c))
                v, free = 0.0, t + ear.refractory
    t, draw = 0.0, 0
    while ear.background_rate > 0:
        t -= np.log(counter.uniform(background, draw)) / (ear.background_rate * n_channels)
        if t >= len(sound) / (rate * speed):
            break
        events.append((int(t * 1e6), int(counter.uniform(background, draw + 1) * n_channels)))
        draw += 2
    return sorted(events)


# --- events/pen.py, events/cortex.py ---


def ink(path: npt.NDArray[np.float64], down: npt.NDArray[np.bool_], width: float) -> npt.NDArray[np.uint8]:
    """Image of the written segments: every pixel, every segment."""
    image = np.zeros((28, 28), np.uint8)
    for y in range(28):
        for x in range(28):
            for a, b, written in zip(path[:-1], path[1:], down[1:], strict=True):
                along = np.dot([x, y] - a, b - a) / max(np.dot(b - a, b - a), 1e-300)
                far = np.linalg.norm([x, y] - a - np.clip(along, 0, 1) * (b - a))
                if written:
                    image[y, x] = max(image[y, x], np.uint8(255 * np.clip(width / 2 + 0.5 - far, 0, 1)))
    return image


def fire(velocity: npt.NDArray[np.float64], gain: float, units: Any, key: int) -> npt.NDArray[np.int64]:
    """Spike counts (bins, units): the quantile of a Poisson law at a uniform number."""
    counts = np.zeros((len(velocity), len(units.base)), np.int64)
    for b, v in enumerate(velocity):
        for i in range(len(units.base)):
            cosine = np.cos(np.arctan2(v[1], v[0]) - units.preferred[i])
            tuning = np.linalg.norm(v) * (units.speed[i] + units.modulation[i] * cosine)
            mean = max(0.0, gain * (units.base[i] + tuning)) * 0.01
            counts[b, i] = poisson.ppf(counter.uniform(key, b * len(units.base) + i), mean) if mean else 0
    return counts


# --- counter.py ---


def mix(key: int, count: int) -> int:
    """64 random bits of (key, count)."""
    z = (key + (count + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def hash32(x: int) -> int:
    """32 random bits of 32 bits."""
    for shift, factor in ((17, 0xED5AD4BB), (11, 0xAC4C1B51), (15, 0x31848BAB)):
        x = (x ^ x >> shift) * factor % 2**32
    return x ^ x >> 14


def normals(key: int, count: int, n: int) -> npt.NDArray[np.float64]:
    """Box and Muller in float64: the cosines in the first half, the sines in the second."""
    second, first = divmod(mix(key, count), 2**32)
    out = np.zeros(n)
    for i in range((n + 1) // 2):
        u = float(np.float32(hash32((i * 0x9E3779B9 + first) % 2**32) | 1)) / 2**32
        a = hash32((i * 0x9E3779B9 + second) % 2**32)
        inside = (a % 2**30 + 2**29) % 2**30 - 2**29  # the lower 30 bits, with a sign
        x = 2 * np.pi * inside / 2**32
        radius = np.sqrt(-2 * np.log(u)) * (-1 if a >> 31 else 1)
        swapped = a >> 30 & 1
        out[i] = radius * (np.sin(x) if swapped else np.cos(x))
        out[n // 2 + i] = radius * (np.cos(x) if swapped else -np.sin(x))
    return out


# --- events/binning.py ---


def bin_recording(
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    p: npt.NDArray[Any],
    t: npt.NDArray[Any],
    size: tuple[int, int, int],
    *,
    n_steps: int,
    duration_us: int | None,
    crop: int | None,
    polarity: str,
    binary: bool,
) -> npt.NDArray[np.int64]:
    """Frames (n_steps, n_channels) of one recording of a sensor (width, height, polarities)."""
    width, height, polarities = size
    left = top = 0
    if crop is not None:
        left, top = int(np.ceil((width - crop) / 2)), int(np.ceil((height - crop) / 2))
        width = height = crop
    if polarity != "both":
        polarities = 1
    if duration_us is None:
        step_ms = 1
        while len(t) and t[-1] >= step_ms * 1000 * n_steps:
            step_ms += 1
        duration_us = step_ms * 1000 * n_steps
    frames = np.zeros((n_steps, height, width, polarities), np.int64)
    for xe, ye, pe, te in zip(x.tolist(), y.tolist(), p.tolist(), t.tolist(), strict=True):
        if te >= duration_us or (polarity == "on" and pe == 0) or (polarity == "off" and pe == 1):
            continue
        if not (left <= xe < left + width and top <= ye < top + height):
            continue
        step = te * n_steps // duration_us
        frames[step, ye - top, xe - left, pe if polarity == "both" else 0] += 1
    return np.minimum(frames, 1).reshape(n_steps, -1) if binary else frames.reshape(n_steps, -1)


# --- device/sampling.py ---


def conductances(
    keys: tuple[int, int],
    law: tuple[float, float, float],
    lognormal: bool,
    first_cell: int,
    read: int,
    n: int,
    block: int,
) -> npt.NDArray[np.float64]:
    """Conductances (n,) of cells from ``first_cell`` on; ``law`` is g_mean, spread, sigma_read."""
    g_mean, spread, sigma_read = law
    out = np.empty(n)
    for i in range(n):
        number, place = divmod(first_cell + i, block)
        xi, noise = np.empty(block, np.float32), np.empty(block, np.float32)
        counter.fill_normals(keys[0], number, xi)
        counter.fill_normals(keys[1], read * 2**40 + number, noise)
        z = float(xi[place])
        factor = np.exp(spread * z - spread**2 / 2) if lognormal else max(0.0, 1 + spread * z)
        out[i] = g_mean * factor * (1 + sigma_read * float(noise[place]))
    return out


# --- array/wires.py ---


def network(
    g: npt.NDArray[np.float64],
    v: npt.NDArray[np.float64],
    resistances: tuple[float, float, float, float],
    both: bool = False,
    active: npt.NDArray[np.bool_] | None = None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Column currents, word- and bit-node voltages of one vector: all branches stamped into a dense matrix.

    Args:
        g: (rows, cols).
        v: (rows,).
        resistances: Segment of a word line, of a bit line, source, sense; links of 0 ohm are not possible.
        both: Word lines driven from both ends.
        active: (rows,); the cells of the other rows are cut.
    """
    m, n = g.shape
    r_row, r_col, r_source, r_sense = resistances
    matrix, injected = np.zeros((2 * m * n, 2 * m * n)), np.zeros(2 * m * n)

    def join(a: int, b: int, conductance: float) -> None:
        matrix[a, a] += conductance
        matrix[b, b] += conductance
        matrix[a, b] -= conductance
        matrix[b, a] -= conductance

    def supply(a: int, conductance: float, voltage: float) -> None:
        matrix[a, a] += conductance
        injected[a] += conductance * voltage

    for i in range(m):
        for j in range(n):
            word, bit = i * n + j, m * n + i * n + j
            if active is None or active[i]:
                join(word, bit, g[i, j])
            if j == 0:
                supply(word, 1 / (r_source + r_row), v[i])
            else:
                join(word, word - 1, 1 / r_row)
            if j == n - 1 and both:
                supply(word, 1 / (r_source + r_row), v[i])
            if i == m - 1:
                supply(bit, 1 / (r_sense + r_col), 0.0)
            else:
                join(bit, bit + n, 1 / r_col)
    nodes = np.linalg.solve(matrix, injected).reshape(2, m, n)
    return nodes[1, -1] / (r_sense + r_col), nodes[0], nodes[1]


# --- array/mvm.py ---


def convert_noisy(
    current: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    key: int,
    first: int,
    stride: int,
    step: np.float32,
    full_scale: np.float32,
    gain: npt.NDArray[np.float32],
    offset: npt.NDArray[np.float32],
    inl: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], int]:
    """Codes of noisy currents, every rounding in float32, and how many converters saturate."""
    n, n_columns = current.shape
    codes, n_clipped, xi = np.zeros((n, n_columns), np.float32), 0, np.empty(n_columns, np.float32)
    peak = np.float32(1.5 * np.sqrt(3))
    for i in range(n):
        counter.fill_normals(key, first + i * stride, xi)
        for j in range(n_columns):
            x = current[i, j]
            if len(variance):
                x = x + np.sqrt(variance[i, j]) * xi[j]
            if step > 0:
                x = x * (np.float32(1) + gain[j]) + step * offset[j]
                y = min(max(x / full_scale, np.float32(-1)), np.float32(1))
                x = x + step * inl[j] * peak * (y - y * y * y)
                n_clipped += int(abs(x) > full_scale)
                x = np.rint(convert(x, step, full_scale) / step)
            codes[i, j] = x
    return codes, n_clipped


def code_weight(matrix: Any) -> float:
    """What one code of the lowest part and read adds to a product (of one ampere, without converters)."""
    top = 2 ** (matrix.dac_bits - 1) - 1 if matrix.config.inputs == "bit_serial" else 1
    step = matrix.adc_full_scale / (2 ** (matrix.adc_bits - 1) - 1) if matrix.adc_bits else 1.0
    return matrix.dac_full_scale / top / matrix.macro.v_read.value * step * matrix.weight_unit


def multiply(matrix: Any, x: npt.NDArray[np.float32], key: int, first: int) -> npt.NDArray[np.float64]:
    """Products with an analog matrix: input by input, read by read, cell by cell, in float64."""
    config, v_read = matrix.config, matrix.macro.v_read.value
    n_columns, n_parts, top = matrix.g.shape[1], len(matrix.part_factors), 2 ** (matrix.dac_bits - 1) - 1
    width = n_columns // n_parts
    n_out = width - 1 if config.mapping == "reference" else width
    step = matrix.adc_full_scale / (2 ** (matrix.adc_bits - 1) - 1)
    out = np.zeros((len(x), n_out))
    for i, row in enumerate(x):
        codes = [int(np.clip(np.rint(value / matrix.dac_full_scale * top), -top, top)) for value in row]
        signs = (1, -1) if config.signed_inputs == "two_phase" else (0,)
        bits = range(matrix.dac_bits - 1) if config.inputs == "bit_serial" else (None,)
        sums, number = np.zeros(n_columns), (first + i) * matrix.tiles.row_groups * len(signs) * len(bits)
        for sign in signs:
            for bit in bits:
                for group, errors in enumerate(matrix.errors):
                    current, variance = np.zeros(n_columns), np.zeros(n_columns)
                    for r in range(group * matrix.tiles.block[0], (group + 1) * matrix.tiles.block[0]):
                        if r >= len(codes) or codes[r] * sign < 0:
                            continue
                        size = abs(codes[r]) / top if bit is None else abs(codes[r]) >> bit & 1
                        v = v_read * size * (np.sign(codes[r]) if sign == 0 else 1)
                        for j in range(n_columns):
                            current[j] += v * matrix.g[r, j]
                            variance[j] += v * v * matrix.variance[r, j]
                    xi = np.empty(n_columns, np.float32)
                    counter.fill_normals(key, number, xi)
                    number += 1
                    for j in range(n_columns):
                        a = current[j] + np.sqrt(variance[j]) * xi[j]
                        if errors is not None:
                            a = a * (1 + errors.gain[j]) + step * errors.offset[j]
                            y = min(max(a / matrix.adc_full_scale, -1), 1)
                            a += step * errors.inl[j] * 1.5 * np.sqrt(3) * (y - y**3)
                        code = min(
                            max(np.rint(a / step), -(2 ** (matrix.adc_bits - 1) - 1)),
                            2 ** (matrix.adc_bits - 1) - 1,
                        )
                        sums[j] += (sign or 1) * code * (1 if bit is None else 2**bit)
        for j in range(n_out):
            for part in range(n_parts):
                out[i, j] += matrix.part_factors[part] * sums[part * width + j]
                if config.mapping == "reference":
                    out[i, j] -= matrix.part_factors[part] * sums[part * width + n_out]
            out[i, j] *= code_weight(matrix)
            out[i, j] -= matrix.zero * sum(codes) / top * matrix.dac_full_scale
    return out


def products_cell_by_cell(
    matrix: Any, x: npt.NDArray[np.float32], draw: np.random.Generator, n: int
) -> npt.NDArray[np.float64]:
    """Products of one input n times, ideal converters: a number of its own for every cell and read."""
    n_parts, two_phase = len(matrix.part_factors), matrix.config.signed_inputs == "two_phase"
    out = []
    for _ in range(n):
        total = np.zeros(matrix.g.shape[1])
        for part in (np.maximum(x, 0), np.minimum(x, 0)) if two_phase else (x,):
            g = matrix.g + np.sqrt(matrix.variance) * draw.standard_normal(matrix.g.shape)
            total += part @ g
        total = matrix.part_factors @ total.reshape(n_parts, -1)
        if matrix.config.mapping == "reference":
            total = total[:-1] - total[-1]
        out.append(total * matrix.weight_unit - matrix.zero * x.sum())
    return np.array(out)


# --- device/pulses.py, device/write_verify.py ---


def pulse(cells: Any, i: int, g: float, v: float, width: float, xi: float) -> float:
    """Conductance of cell ``i`` after a pulse: SET where ``v`` is positive, RESET where it is negative."""
    low, high = cells.bounds[:, i]
    k = int(v > 0)
    left = np.exp(-(abs(v) - cells.v_on[k, i]) / cells.v_scale[k]) / (width / cells.width) ** cells.exponent
    if left >= 1:
        return g
    limit = [low + left * (high - low), high - left * (high - low)][k]
    if (limit - g) * v < 0:
        return g
    return float(np.clip(g + cells.share[k, i] * (limit - g) + cells.sigma[k] * xi, low, high))


def pulse_train(
    key: int, cells: Any, train: npt.NDArray[np.float64], width: float
) -> npt.NDArray[np.float64]:
    """Conductances (n_pulses + 1, n_cells) from the low bounds on."""
    n_pulses, n_cells = train.shape
    g = np.zeros((n_pulses + 1, n_cells))
    for i in range(n_cells):
        g[0, i] = cells.bounds[0, i]
        for k in range(n_pulses):
            xi = counter.normal(key, k * n_cells + i)
            g[k + 1, i] = pulse(cells, i, g[k, i], train[k, i], width, xi) if train[k, i] else g[k, i]
    return g


def program_cell(
    key: int, cells: Any, i: int, scheme: Any, target: float, band: float, sigma: float, g: float
) -> tuple[float, bool, list[tuple[float, float, float, float]]]:
    """Conductance, failed, and all that was applied: (driving voltage, duration, g before, g after)."""
    trace: list[tuple[float, float, float, float]] = []
    amplitudes: list[float] = []  # of the pulses so far, with sign
    run = reversals = 0
    while True:
        draw = 2 * (i * (scheme.max_pulses + 1) + len(amplitudes))
        seen = g + sigma * counter.normal(key, draw)
        trace += [(scheme.v_read, scheme.t_read, g, g)] * scheme.reads
        if abs(seen - target) <= band:
            return g, False, trace
        up = seen < target
        if amplitudes and up == (amplitudes[-1] > 0):
            run += 1
        else:
            run, reversals = 0, reversals + bool(amplitudes)
        if len(amplitudes) == scheme.max_pulses or reversals > scheme.max_reversals:
            return g, True, trace
        v = min(scheme.v_start[int(up)] + run * scheme.v_step[int(up)], scheme.v_max[int(up)])
        width = min(scheme.width * scheme.width_factor**run, scheme.width_max)
        after = pulse(cells, i, g, v if up else -v, width, counter.normal(key, draw + 1))
        trace.append((scheme.v_line[int(up)] or v, width, g, after))
        amplitudes.append(v if up else -v)
        g = after


# --- switching ---


def vteam(m: Any, x: float, u: float) -> tuple[float, float, float]:
    """Speed [m/s], current [A] and no noise at state x [m] and applied voltage u."""
    r = m.r_on + (m.r_off - m.r_on) * (x - m.x_on) / (m.x_off - m.x_on)
    v = u * r / (r + m.r_series)
    speed = 0.0
    if v > m.v_off:
        speed = m.k_off * (v / m.v_off - 1) ** m.alpha_off
    if v < m.v_on:
        speed = m.k_on * (v / m.v_on - 1) ** m.alpha_on
    return speed, v / r, 0.0


def stanford(m: Any, gap: float, u: float) -> tuple[float, float, float]:
    """Speed [m/s], current [A] and noise [m/s^0.5] at a gap [m] and applied voltage u."""

    def current(v: float) -> float:
        return float(m.i0 * np.exp(-gap / m.g0) * np.sinh(v / m.v0))

    v = u
    if m.r_series > 0 and u != 0:
        v = brentq(lambda w: w + m.r_series * current(w) - u, min(u, 0), max(u, 0), xtol=1e-15, rtol=1e-14)
    t = m.t0 + abs(v * current(v)) * m.r_th
    gamma = m.gamma0 - m.beta * (gap / 1e-9) ** 3
    if gamma * abs(v) / m.t_ox < m.field_min:
        gamma = 0
    arrhenius = np.exp(-1.602176634e-19 * m.e_a / (1.380649e-23 * t))
    field = gamma * m.a0 * 1.602176634e-19 * v / (m.t_ox * 1.380649e-23 * t)
    noise = m.diffusion / (1 + np.exp((m.t_crit - t) / m.t_smooth))
    return float(-m.velocity * arrhenius * np.sinh(field)), current(v), float(noise)


def jart_contact(m: Any, n: float, v_s: float, t: float) -> float:
    """Current [A] of the Schottky contact at voltage v_s and temperature t, in joules as in the papers."""
    q, k, h, eps0 = constants.e, constants.k, constants.h, constants.epsilon_0
    area = np.pi * m.radius**2
    phi = m.phi_bn0
    if v_s < m.phi_bn0 - m.phi_n:
        psi = m.phi_bn0 - m.phi_n - v_s
        phi -= (q**3 * m.z * n * psi / (8 * np.pi**2 * (m.eps_phi * eps0) ** 3)) ** 0.25
        phi = max(phi, 0)
    if v_s >= 0:
        emission = np.exp(-q * phi / (k * t)) * (np.exp(q * v_s / (k * t)) - 1)
        return float(area * m.richardson * t**2 * emission)
    w00 = q * h / (4 * np.pi) * np.sqrt(m.z * n / (m.m_eff * m.eps_r * eps0))
    w0 = w00 / np.tanh(w00 / (k * t))
    e = w00 / (w00 / (k * t) - np.tanh(w00 / (k * t)))
    root = np.sqrt(np.pi * w00 * q * (abs(v_s) + phi / np.cosh(w00 / (k * t)) ** 2))
    emission = np.exp(-q * phi / w0) * (np.exp(q * abs(v_s) / e) - 1)
    return float(-area * m.richardson * t / k * root * emission)


def jart_state(m: Any, n: float, v: float) -> dict[str, float]:
    """Operating point, with signs: contact voltage, current, temperature, resistances, their voltage."""
    area = np.pi * m.radius**2
    r_disc = m.l_disc / (n * m.z * constants.e * m.mobility * area)
    r_plug = (m.l_cell - m.l_disc) / (m.n_plug * m.z * constants.e * m.mobility * area)

    def drop(i: float) -> float:
        line = m.r0 * (1 + m.r0 * m.alpha_line * i**2 * m.rth_line)
        return float(i * (r_disc + r_plug + m.r_tiox + line + m.r_series))

    def point(v_s: float) -> dict[str, float]:
        """All the rest at a contact voltage, from Kirchhoff's voltage law and the heat."""
        i = brentq(lambda i: drop(i) - (v - v_s), -1.0, 1.0, xtol=1e-22, rtol=1e-15, maxiter=500)
        r_th = m.rth0 * (m.r_det / m.radius) ** 2 * (m.rth_reset if v > 0 else 1)
        t = m.t0 + r_th * i * (v_s + i * (r_disc + r_plug))
        return {"v_s": v_s, "i": i, "t": t, "r_disc": r_disc, "r_plug": r_plug, "drop": drop(i)}

    def excess(v_s: float) -> float:
        return jart_contact(m, n, v_s, point(v_s)["t"]) - point(v_s)["i"]

    steps = v * np.linspace(0, 1, 401)[1:] if v < 0 else np.minimum(0.002 * np.arange(1, 5000), v)
    first = next(s for s in steps if excess(s) * np.sign(v) >= 0)  # the lowest of up to three roots
    before = 0.0 if first == steps[0] else first - (steps[1] - steps[0])
    return point(brentq(excess, before, first, xtol=1e-16, rtol=1e-14))


def jart(m: Any, n: float, v: float) -> tuple[float, float, float]:
    """dN/dt [1/(m^3 s)], current [A] and no noise at concentration n and voltage v."""
    if v == 0:
        return 0.0, 0.0, 0.0
    s = jart_state(m, n, v)
    field, window = s["i"] * s["r_disc"] / m.l_disc, 1 - (n / m.n_max) ** 10
    if v > 0:
        field = (s["v_s"] + s["i"] * (s["r_disc"] + s["r_plug"])) / m.l_cell
        window = 1 - (m.n_min / n) ** 10
    g = m.z * m.hop * field / (np.pi * m.dw)
    forward = m.dw * (np.sqrt(1 - g**2) - g * np.pi / 2 + g * np.arcsin(g))
    backward = m.dw * (np.sqrt(1 - g**2) + g * np.pi / 2 + g * np.arcsin(g))
    kt = constants.k * s["t"] / constants.e
    hops = np.exp(-forward / kt) - np.exp(-backward / kt)
    c = (m.n_plug + n) / 2
    return float(-c * m.hop * m.attempt * window / m.l_disc * hops), s["i"], 0.0


def switch(
    law: Any, m: Any, x: float, v: npt.NDArray[Any], dt: npt.NDArray[Any], log: bool = False
) -> list[tuple[float, float, float]]:
    """State, current and energy of every step of a waveform, by scipy's stiff solver, in ln x if ``log``."""
    low, high = m.limits
    out = []
    for volt, span in zip(v, dt, strict=True):

        def slope(t: float, y: npt.NDArray[Any], volt: float = volt) -> list[float]:
            state = float(np.clip(np.exp(y[0]) if log else y[0] * high, low, high))
            f, i, _ = law(m, state, volt)
            if (state >= high and f > 0) or (state <= low and f < 0):
                f = 0.0
            return [f / state if log else f / high, volt * i * 1e9]

        start = [np.log(x) if log else x / high, 0.0]
        solution = solve_ivp(slope, (0, span), start, method="LSODA", rtol=1e-9, atol=1e-11)
        x = float(np.clip(np.exp(solution.y[0, -1]) if log else solution.y[0, -1] * high, low, high))
        out.append((x, law(m, x, volt)[1], solution.y[1, -1] / 1e9))
    return out


def wander(law: Any, m: Any, x: float, v: float, dt: float, key: int, draw: int, unit: float) -> float:
    """State after a noisy step, by Euler and Maruyama; a step moves x/unit by 0.05 at most, on average."""
    low, high = m.limits
    t = 0.0
    while t < dt:
        f, _, noise = law(m, x, v)
        h = min(dt - t, (0.05 * unit / noise) ** 2)
        if (f > 0 and x < high) or (f < 0 and x > low):
            h = min(h, 0.05 * unit / abs(f))
        x = float(np.clip(x + f * h + noise * np.sqrt(h) * counter.normal(key, draw), low, high))
        draw += 1
        t += h
        if abs(t - dt) < 1e-12 * dt:
            break
    return x


def homeostatic(z, y, *, rates, rules, batch, n_classes, norm, dice, whole_batch=False):
    """Softmax projections with modulated rates, sample by sample: rates after every batch, last weights."""
    trajectories, weights = [], []
    for first, rule, coins in zip(rates, rules, dice, strict=True):
        w, rate, seen, trajectory = np.zeros((n_classes, z.shape[1] + 1)), first, [], []
        for number, start in enumerate(range(0, len(z), batch)):
            slope = np.zeros_like(w)
            tried = np.zeros_like(w)
            for i in range(start, start + batch):
                x = np.append(z[i], 1.0)
                p = np.exp(w @ x) / np.exp(w @ x).sum()
                slope += np.outer(p - (np.arange(n_classes) == y[i]), x) / (batch * (1 + norm))
                if i == start:
                    guess = int((w @ x).argmax())
                if i == start or whole_batch:
                    tried = slope.copy()
            takes = False
            if start > 20 and rule == "random":
                takes = coins[number]
            if start > 20 and rule == "homeostatic":
                moved = max(rate + (0.1 if guess >= n_classes // 2 else -0.1) * first, 1e-8)
                right = [0, 0]
                for j in seen[-20:]:
                    for k, step in enumerate((rate, moved)):
                        right[k] += int(((w - step * tried) @ np.append(z[j], 1.0)).argmax() == y[j])
                takes = right[1] > right[0]
            if takes:
                rate = max(rate + (0.1 if y[start] >= n_classes // 2 else -0.1) * first, 1e-8)
            w -= rate * slope
            seen += range(start, start + batch)
            trajectory.append(rate)
        trajectories.append(trajectory)
        weights.append(w)
    return np.array(trajectories), np.array(weights)


def contrastive_loss(kind, a, b, y, temperature, margin):  # type: ignore[no-untyped-def]
    """Twin of readout.contrastive_training.contrastive_loss for one task, pair by pair."""
    n = len(y)
    s = np.array([[a[i] @ b[j] / temperature for j in range(n)] for i in range(n)])
    within = np.array([[(a[i] @ a[j] + b[i] @ b[j]) / 2 * temperature for j in range(n)] for i in range(n)])
    soft = np.exp(within) / np.exp(within).sum(1, keepdims=True)
    total = 0.0
    for way in (0, 1):
        for i in range(n):
            row = s[i] if way == 0 else s[:, i]
            if kind.startswith("hinge"):
                short = [max(0.0, margin - s[i, i] + row[j]) for j in range(n) if y[j] != y[i]]
                total += max(short) if kind == "hinge_hard" else sum(short)
                continue
            for j in range(n):
                target = {
                    "clip": soft[i, j] if way == 0 else soft[j, i],
                    "infonce": float(i == j),
                    "supervised": float(y[i] == y[j]) / np.count_nonzero(y == y[i]),
                }[kind]
                total -= target * (row[j] - np.log(np.exp(row).sum()))
    return total / (2 * n)


# --- baselines/quantum/ ---

_I, _X = np.eye(2), np.array([[0, 1], [1, 0]])
_Y, _Z = np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
_ONE_QUBIT = {"X": _X, "Y": _Y, "Z": _Z, "H": (_X + _Z) / np.sqrt(2), "S": np.diag([1, 1j])}


def on_wires(n: int, matrices: dict[int, Any]) -> npt.NDArray[Any]:
    """Kronecker product of a 2 x 2 matrix for every wire, identities where none is given."""
    full = np.eye(1)
    for wire in range(n):
        full = np.kron(full, matrices.get(wire, _I))
    return full


def gate_matrix(circuit: Circuit, number: int, x: Any, w: Any) -> npt.NDArray[Any]:
    """2^n x 2^n matrix of one gate."""
    gate, n = circuit.gates[number], circuit.n_qubits
    angle = gate.angle
    if isinstance(angle, Slot):
        angle = x[angle.index] if angle.source == "input" else w[angle.index]
    name = {"CNOT": "X", "CZ": "Z"}.get(gate.name, gate.name.removeprefix("C"))
    if angle is None:
        small = _ONE_QUBIT[name]
    else:
        small = np.cos(angle / 2) * _I - 1j * np.sin(angle / 2) * _ONE_QUBIT[name[-1]]
    *controls, target = gate.wires
    if not controls:
        return on_wires(n, {target: small})
    off = on_wires(n, {controls[0]: np.diag([1, 0])})
    return off + on_wires(n, {controls[0]: np.diag([0, 1]), target: small})


def run_circuit(circuit: Circuit, x: Any, w: Any, p: float = 0, damping: float = 0) -> npt.NDArray[Any]:
    """Outputs of one input, by multiplying dense density matrices; channels as sums over Kraus matrices."""
    n = circuit.n_qubits
    psi = np.eye(2**n)[0] if not circuit.amplitude else np.asarray(x) / np.linalg.norm(x)
    rho = np.outer(psi, psi).astype(complex)
    for k, gate in enumerate(circuit.gates):
        u = gate_matrix(circuit, k, x, w)
        rho = u @ rho @ u.conj().T
        for wire in gate.wires:
            paulis = [on_wires(n, {wire: m}) for m in (_X, _Y, _Z)]
            rho = (1 - p) * rho + p / 3 * sum(m @ rho @ m.conj().T for m in paulis)
            k0 = on_wires(n, {wire: np.diag([1, np.sqrt(1 - damping)])})
            k1 = on_wires(n, {wire: np.sqrt(damping) * np.array([[0, 1], [0, 0]])})
            rho = k0 @ rho @ k0.T + k1 @ rho @ k1.T
    if circuit.measure == "probabilities":
        return np.diag(rho).real
    paulis = [on_wires(n, {wire: _ONE_QUBIT[circuit.measure]}) for wire in range(n)]
    return np.array([np.trace(rho @ m).real for m in paulis])


def permanent(a: Any) -> complex:
    """Permanent of a square matrix, by its definition."""
    n = len(a)
    return sum(np.prod([a[i, p[i]] for i in range(n)]) for p in permutations(range(n)))


def fock_amplitude(u: Any, inputs: tuple[int, ...], state: Any) -> complex:
    """Amplitude of a Fock state after an interferometer, single photons in the modes ``inputs``."""
    rows = [mode for mode, k in enumerate(state) for _ in range(k)]
    return permanent(u[np.ix_(rows, inputs)]) / np.sqrt(np.prod([factorial(k) for k in state]))


def neuron(
    state: Any, n: int, lane: int, sources: list[int], theta: float, phi: Any, degree: int, k: int
) -> Any:
    """A quantum neuron on a real state of n lanes, basis state by basis state; lane 0 is the first bit."""
    new = np.zeros(2**n)
    subsets = [i for d in range(1, degree + 1) for i in combinations(range(len(sources)), d)]
    for index, amplitude in enumerate(state):
        bits = [index >> (n - 1 - q) & 1 for q in range(n)]
        e = np.pi / 2 + theta
        for weight, subset in zip(phi, subsets, strict=True):
            e += weight * np.prod([bits[sources[i]] for i in subset])
        c, s = np.cos(e / 2) ** 2**k, np.sin(e / 2) ** 2**k
        flipped = index ^ 1 << (n - 1 - lane)
        new[index] += c * amplitude
        new[flipped] += (-s if bits[lane] else s) * amplitude
    return new


def qrnn_step(state: Any, symbol: int, cell: Any) -> npt.NDArray[Any]:
    """Amplitudes (2^n_io, 2^ws) of I/O and workspace lanes before the measurement, normalised."""
    config = cell.config
    n_io, ws = config.n_bits, config.workspace
    n = n_io + ws
    full = np.zeros((2**n_io, 2**ws))
    full[symbol] = state
    full = full.ravel()
    for number in range(ws * (1 + config.stages)):
        stage, place = divmod(number, ws)
        if stage and not place:
            for q in range(ws):
                a = cell.turns[stage - 1, q].item() / 2
                turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
                full = on_wires(n, {n_io + q: turn}) @ full
        lane = n_io + place
        sources = [q for q in range(n) if q != lane]
        phi = cell.phi[number].tolist()
        full = neuron(full, n, lane, sources, cell.theta[number].item(), phi, config.degree, config.order)
    full = full.reshape(2**n_io, 2**ws)[symbol]
    full = np.concatenate([full, np.zeros(2**n - 2**ws)])
    for lane in range(n_io):
        sources = [q for q in range(n) if q != lane]
        theta, phi = cell.theta_out[lane].item(), cell.phi_out[lane].tolist()
        full = neuron(full, n, lane, sources, theta, phi, config.degree, config.order)
    return (full / np.linalg.norm(full)).reshape(2**n_io, 2**ws)


def adapted(threshold, n_spikes, seconds, target, eta):
    """Thresholds after one step of homeostasis, neuron by neuron."""
    out = []
    for theta, n in zip(threshold, n_spikes, strict=True):
        rate = n / seconds
        out.append(theta * np.exp(eta * (rate - target) / (rate + target)))
    return np.array(out)
