"""Obvious-loop twins of every kernel, to be read and believed."""

from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim import counter

# --- array ---


def convert(current: np.float32, step: np.float32, full_scale: np.float32) -> np.float32:
    """What a converter reports for one current."""
    level = np.rint(current / step) * step
    return min(max(level, -full_scale), full_scale)


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
