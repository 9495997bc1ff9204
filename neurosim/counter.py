"""Random numbers inside kernels, as pure functions of a key and a counter.

A number depends on (key, counter) only, never on who draws it or when, so that any number of threads
gives the same bits. Uniforms come from an integer hash, normals from pairs of uniforms by Box and Muller,

    z1, z2 = sqrt(-2 ln u1) (cos 2 pi u2, sin 2 pi u2),

with the logarithm and the circle as short series in float32, which compilers turn into vector code
(a call of libm's log would cost more than the whole loop; ``error_model="numpy"`` keeps checks for
division by zero out of it). The tails reach 6.7 sigma.

Source: Box & Muller, Ann. Math. Stat. 29, 610 (1958); the hash constants are Wellons' ``triple32``
(32 bit) and Vigna's ``splitmix64`` (64 bit), both in the public domain.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types, uint64
from numba.extending import intrinsic

LN2 = np.float32(math.log(2.0))
TURN = np.float32(2.0**-34 * 2.0 * math.pi)


@intrinsic
def _bits(typingctx: Any, value: Any) -> Any:
    """The 32 bits of a float32 as an int32; compiles to nothing."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), codegen


@intrinsic
def _float(typingctx: Any, value: Any) -> Any:
    """The float32 with the bits of an int32; compiles to nothing."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


@intrinsic
def trailing_zeros(typingctx: Any, value: Any) -> Any:
    """Number of zero bits below the lowest one of a uint64 other than 0; one instruction."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@njit(cache=True, error_model="numpy")
def mix(key: int, counter: int) -> int:
    """64 random bits of (key, counter)."""
    z = uint64(key) + (uint64(counter) + uint64(1)) * uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))  # type: ignore[return-value]


@njit(cache=True, error_model="numpy")
def uniform(key: int, counter: int) -> float:
    """One number in (0, 1), 53 bits fine."""
    return (float(mix(key, counter) >> uint64(11)) + 0.5) * 2.0**-53


@njit(cache=True, error_model="numpy")
def normal(key: int, counter: int) -> float:
    """One standard normal number."""
    radius = math.sqrt(-2.0 * math.log(uniform(key, 2 * counter)))
    return radius * math.cos(2.0 * math.pi * uniform(key, 2 * counter + 1))


@njit(cache=True, error_model="numpy")
def _hash32(x: np.uint32) -> np.uint32:
    x = np.uint32(x ^ (x >> np.uint32(17)))
    x = np.uint32(x * np.uint32(0xED5AD4BB))
    x = np.uint32(x ^ (x >> np.uint32(11)))
    x = np.uint32(x * np.uint32(0xAC4C1B51))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x31848BAB))
    return np.uint32(x ^ (x >> np.uint32(14)))


@njit(cache=True, error_model="numpy")
def fill_normals(key: int, counter: int, out: npt.NDArray[np.float32]) -> None:
    """Fill ``out`` with the standard normals of (key, counter).

    Args:
        key: int of the stream.
        counter: Which block of the stream; every block is an independent sequence.
        out: float32 (n,), written. Which number stands where depends on n, so a block has one length.
    """
    bits = mix(key, counter)
    first = np.uint32(bits & uint64(0xFFFFFFFF))
    second = np.uint32(bits >> uint64(32))
    half = (len(out) + 1) // 2
    other = out[len(out) // 2 :]  # the sines' half; where n is odd the two meet in the middle
    for i in range(half):
        lane = np.uint32(np.uint32(i) * np.uint32(0x9E3779B9))
        u = np.uint32(_hash32(np.uint32(lane + first)) | np.uint32(1))
        a = _hash32(np.uint32(lane + second))
        # -ln(u / 2^32): the exponent's part plus 2 artanh(s) of the mantissa m in [1/sqrt 2, sqrt 2)
        raw = np.int32(_bits(np.float32(u)) - np.int32(0x3F3504F3))  # type: ignore[call-arg]
        exponent = np.int32(raw >> np.int32(23))
        m = _float(np.int32((raw & np.int32(0x7FFFFF)) + np.int32(0x3F3504F3)))
        s = (m - np.float32(1)) / (m + np.float32(1))
        q = s * s
        series = np.float32(1 / 7) + q * np.float32(1 / 9)
        series = np.float32(1) + q * (np.float32(1 / 3) + q * (np.float32(1 / 5) + q * series))
        log = (np.float32(exponent) - np.float32(32)) * LN2 + np.float32(2) * s * series
        radius = np.float32(np.sqrt(max(np.float32(0), np.float32(-2) * log)))
        # the angle: two bits choose the quadrant, thirty the place inside -pi/4 .. pi/4
        x = np.float32(np.int32(np.uint32(a << np.uint32(2)))) * TURN
        y = x * x
        cosine = np.float32(1 / 24) + y * (np.float32(-1 / 720) + y * np.float32(1 / 40320))
        cosine = np.float32(1) + y * (np.float32(-0.5) + y * cosine)
        sine = np.float32(1 / 120) + y * (np.float32(-1 / 5040) + y * np.float32(1 / 362880))
        sine = x * (np.float32(1) + y * (np.float32(-1 / 6) + y * sine))
        swap = (a >> np.uint32(30)) & np.uint32(1) != np.uint32(0)
        sign = np.float32(1) if (a >> np.uint32(31)) == np.uint32(0) else np.float32(-1)
        radius = radius * sign
        out[i] = radius * (sine if swap else cosine)
        other[i] = radius * (cosine if swap else -sine)
