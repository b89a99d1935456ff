"""Serial numba kernels, compiled on first use and kept on disk.

All kernels work on lanes: vectors of eight complex numbers, real parts first. The vectors are
explicit, because LLVM does not vectorise butterflies that work in place: it cannot prove that their
inputs and outputs do not overlap.

A plane of lanes is a flat float32 array, column by column: lane ``column * N + row`` holds eight
neighbours of one row, so that a transform along the columns' index reads contiguous memory. If N is
not a multiple of eight, the last lanes begin at N - 8 and repeat some numbers of their neighbours.
"""

import math
import operator
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic, models, overload, register_model

from ptycho_fast.backend.numba.compiled import inline, kernel
from ptycho_fast.backend.numba.poisson import poisson_counts as poisson_counts

_intrinsic: Any = intrinsic

_WIDTH = 8
_VECTOR = ir.VectorType(ir.FloatType(), 2 * _WIDTH)


class _LaneType(types.Type):
    pass


_lane = _LaneType("lane")


@register_model(_LaneType)
class _LaneModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)  # type: ignore[no-untyped-call]


def _address(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _VECTOR.as_pointer())


@_intrinsic  # type: ignore[untyped-decorator]
def _load(_: Any, array: Any, at: Any) -> Any:
    """16 floats from element `at` of a flat array."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _address(context, builder, signature.args[0], *arguments)
        return builder.load(pointer, align=4)

    return _lane(array, types.intp), emit


@_intrinsic  # type: ignore[untyped-decorator]
def _store(_: Any, array: Any, at: Any, x: Any) -> Any:
    """16 floats to element `at` of a flat array."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _address(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, _lane), emit


@_intrinsic  # type: ignore[untyped-decorator]
def _store_half(_: Any, array: Any, at: Any, x: Any) -> Any:
    """The first 8 floats to element `at` of a flat array."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _address(context, builder, signature.args[0], *arguments[:2])
        mask = ir.Constant(ir.VectorType(ir.IntType(32), _WIDTH), list(range(_WIDTH)))
        half = builder.shuffle_vector(arguments[2], arguments[2], mask)
        builder.store(half, builder.bitcast(pointer, half.type.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, _lane), emit


def _shuffle(*mask: int) -> Any:
    @_intrinsic  # type: ignore[untyped-decorator]
    def shuffle(_: Any, a: Any, b: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            places = ir.Constant(ir.VectorType(ir.IntType(32), 2 * _WIDTH), mask)
            return builder.shuffle_vector(*arguments, places)

        return _lane(_lane, _lane), emit

    return shuffle


def _arithmetic(symbol: Any, instruction: str) -> None:
    @_intrinsic  # type: ignore[untyped-decorator]
    def calculate(_: Any, a: Any, b: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x, y = arguments
            if signature.args[1] != _lane:
                zero = ir.Constant(ir.IntType(32), 0)
                y = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), y, zero)
                everywhere = ir.VectorType(ir.IntType(32), 2 * _WIDTH)(None)
                y = builder.shuffle_vector(y, y, everywhere)
            return getattr(builder, instruction)(x, y)

        return _lane(_lane, _lane if b == _lane else types.float32), emit

    @overload(symbol)
    def operate(a, b):  # type: ignore[no-untyped-def]
        return (lambda a, b: calculate(a, b)) if a == _lane else None


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")

_first, _second = range(_WIDTH), range(_WIDTH, 2 * _WIDTH)
_separated = _shuffle(*range(0, 16, 2), *range(1, 16, 2))  # from pairs, as complex64 arrays have
_real, _imaginary = _shuffle(*_first, *_first), _shuffle(*_second, *_second)
_second_first = _shuffle(*_second, *range(16, 24))
_low = _shuffle(*(i + j for h in (0, 8) for i in range(h, h + 4) for j in (0, 16)))
_high = _shuffle(*(i + j for h in (4, 12) for i in range(h, h + 4) for j in (0, 16)))


@inline
def _minus_i(x):  # type: ignore[no-untyped-def]
    return _second_first(x, x * np.float32(-1))


@inline
def _times(x, re, im):  # type: ignore[no-untyped-def]
    return x * re - _minus_i(x) * im


# --- transforms of a few numbers that are `step` apart, in natural order ---


@inline
def _dft2(plane, at, step):  # type: ignore[no-untyped-def]
    a, b = _load(plane, at), _load(plane, at + step)
    return a + b, a - b


@inline
def _dft3(plane, at, step):  # type: ignore[no-untyped-def]
    a, b, c = _load(plane, at), _load(plane, at + step), _load(plane, at + 2 * step)
    total, turned = b + c, _minus_i(b - c) * np.float32(0.86602540378443864676)
    middle = a - total * np.float32(0.5)
    return a + total, middle + turned, middle - turned


@inline
def _dft4(plane, at, step):  # type: ignore[no-untyped-def]
    a, b = _dft2(plane, at, 2 * step)
    c, d = _dft2(plane, at + step, 2 * step)
    d = _minus_i(d)
    return a + c, b + d, a - c, b - d


@inline
def _dft5(plane, at, step):  # type: ignore[no-untyped-def]
    cos72, cos144 = np.float32(0.30901699437494742410), np.float32(-0.80901699437494742410)
    sin72, sin144 = np.float32(0.95105651629515357212), np.float32(0.58778525229247312917)
    x, a, b = _load(plane, at), _load(plane, at + step), _load(plane, at + 2 * step)
    c, d = _load(plane, at + 3 * step), _load(plane, at + 4 * step)
    s, t, p, q = a + d, b + c, _minus_i(a - d), _minus_i(b - c)
    e, f = x + (s * cos72 + t * cos144), x + (s * cos144 + t * cos72)
    g, h = p * sin72 + q * sin144, p * sin144 - q * sin72
    return x + (s + t), e + g, f + h, f - h, e - g


@inline
def _dft8(plane, at, step):  # type: ignore[no-untyped-def]
    cos45 = np.float32(0.70710678118654752440)
    a, b, c, d = _dft4(plane, at, 2 * step)
    e, f, g, h = _dft4(plane, at + step, 2 * step)
    f, g, h = (f + _minus_i(f)) * cos45, _minus_i(g), (_minus_i(h) - h) * cos45
    return a + e, b + f, c + g, d + h, a - e, b - f, c - g, d - h


def _pass(dft: Any, radix: int) -> Any:
    @kernel
    def run(plane, first, n, span, cosines, sines):  # type: ignore[no-untyped-def]
        for block in range(0, n, radix * span):
            for j in range(span):
                at, step = first + 16 * (block + j), 16 * span
                x = dft(plane, at, step)
                _store(plane, at, x[0])
                if j == 0:
                    for q in range(1, radix):
                        _store(plane, at + q * step, x[q])
                else:
                    turn = j * (n // (radix * span))
                    for q in range(1, radix):
                        y = _times(x[q], cosines[q * turn], sines[q * turn])
                        _store(plane, at + q * step, y)

    return run


_pass2, _pass3, _pass4 = _pass(_dft2, 2), _pass(_dft3, 3), _pass(_dft4, 4)
_pass5, _pass8 = _pass(_dft5, 5), _pass(_dft8, 8)


@kernel
def _transform_rows(plane, n, radices, cosines, sines):  # type: ignore[no-untyped-def]
    """In place, along the rows of a plane, by decimation in frequency."""
    for column in range((n + 7) // 8):
        first, span = 16 * column * n, n
        for radix in radices:
            span //= radix
            if radix == 8:
                _pass8(plane, first, n, span, cosines, sines)
            elif radix == 5:
                _pass5(plane, first, n, span, cosines, sines)
            elif radix == 4:
                _pass4(plane, first, n, span, cosines, sines)
            elif radix == 3:
                _pass3(plane, first, n, span, cosines, sines)
            else:
                _pass2(plane, first, n, span, cosines, sines)


@inline
def _zipped(x):  # type: ignore[no-untyped-def]
    a, b, c, d, e, f, g, h = x
    return (
        *(_low(a, e), _high(a, e), _low(b, f), _high(b, f)),
        *(_low(c, g), _high(c, g), _low(d, h), _high(d, h)),
    )


@kernel
def _transpose(plane, at):  # type: ignore[no-untyped-def]
    """Eight lanes from `at` on become those of the other axis: three perfect shuffles."""
    x = (
        *(_load(plane, at), _load(plane, at + 16), _load(plane, at + 32), _load(plane, at + 48)),
        *(_load(plane, at + 64), _load(plane, at + 80), _load(plane, at + 96)),
        _load(plane, at + 112),
    )
    x = _zipped(_zipped(_zipped(x)))
    for k in range(8):
        _store(plane, at + 16 * k, x[k])


# --- stages ---


@kernel
def _split(x, low, high):  # type: ignore[no-untyped-def]
    if not x > low:
        return int(low), 0.0
    if not x < high:
        return int(high), 0.0
    whole = math.floor(x)
    return int(whole), x - whole


@kernel
def _open_window(obj, H, W, N, position, boundary, copy):  # type: ignore[no-untyped-def]
    """The N + 1 by N + 1 taps as (array, offset, stride) and the weights.

    They are read in place, or from a copy where they leave the object: with zeros around it, ones
    (`boundary` 1), or its nearest pixels (2).
    """
    i, u = _split(position[0] - N // 2, -2.0 - N, W + 1.0)
    j, v = _split(position[1] - N // 2, -2.0 - N, H + 1.0)
    weights = np.float32(1 - u), np.float32(u), np.float32(1 - v), np.float32(v)
    if i >= 0 and j >= 0 and i + N < W and j + N < H:
        return obj, j * W + i, W, weights
    if boundary == 2:
        for r in range(N + 1):
            row = min(max(j + r, 0), H - 1) * W
            for c in range(N + 1):
                copy[r * (N + 1) + c] = obj[row + min(max(i + c, 0), W - 1)]
        return copy, 0, N + 1, weights
    copy[:] = boundary
    first, past = max(0, -i), min(N + 1, W - i)
    for r in range(max(0, -j), min(N + 1, H - j)):
        for c in range(first, past):
            copy[r * (N + 1) + c] = obj[(j + r) * W + i + c]
    return copy, 0, N + 1, weights


@inline
def _across(taps, at, weights):  # type: ignore[no-untyped-def]
    """Eight neighbours, interpolated along the columns, as pairs."""
    return _load(taps, at) * weights[0] + _load(taps, at + 1) * weights[1]


@kernel
def patches(obj, shape, positions, N, boundary, out):  # type: ignore[no-untyped-def]
    """Samples of the flat `obj` around each position, to the flat `out`."""
    H, W = shape
    copy = np.empty((N + 1) ** 2, np.complex64)
    for b in range(len(positions)):
        taps, first, stride, weights = _open_window(obj, H, W, N, positions[b], boundary, copy)
        for r in range(N):
            for column in range(0, N, 8):
                c = min(column, N - 8)
                at = first + r * stride + c
                upper, lower = _across(taps, at, weights), _across(taps, at + stride, weights)
                _store(out, (b * N + r) * N + c, upper * weights[2] + lower * weights[3])


@kernel
def _exit_wave(taps, first, stride, weights, probe, N, waves):  # type: ignore[no-untyped-def]
    """One mode's wave, transposed: the columns are the rows of `waves`."""
    for row in range(0, N, 8):
        for column in range(0, N, 8):
            r, c = min(row, N - 8), min(column, N - 8)
            at = 16 * (row // 8 * N + c)
            upper = _across(taps, first + r * stride + c, weights)
            for k in range(8):
                lower = _across(taps, first + (r + k + 1) * stride + c, weights)
                o, p = upper * weights[2] + lower * weights[3], _load(probe, (r + k) * N + c)
                o, p = _separated(o, o), _separated(p, p)
                wave = p * _real(o, o) - _minus_i(p) * _imaginary(o, o)
                _store(waves, at + 16 * k, wave)
                upper = lower
            _transpose(waves, at)


@kernel
def intensities(obj, shape, probe, modes, positions, N, boundary, plan, out):  # type: ignore[no-untyped-def]
    """Far-field intensities around each position, to the flat `out`."""
    H, W = shape
    radices, cosines, sines, position_of_pixel, pixel_of_position = plan
    unitary = np.float32(1) / (np.float32(N) * np.float32(N))
    copy = np.empty((N + 1) ** 2, np.complex64)
    size = (N + 7) // 8 * N * 16
    waves, far = np.empty(size, np.float32), np.empty(size, np.float32)
    total = np.empty(size if modes > 1 else 0, np.float32)
    for b in range(len(positions)):
        taps, first, stride, weights = _open_window(obj, H, W, N, positions[b], boundary, copy)
        for m in range(modes):
            _exit_wave(taps, first, stride, weights, probe[m * N * N :], N, waves)
            _transform_rows(waves, N, radices, cosines, sines)
            # Transposed back, with the columns in the detector's order.
            for column in range(0, N, 8):
                for row in range(0, N, 8):
                    at = 16 * (column // 8 * N + min(row, N - 8))
                    for k in range(8):
                        c = position_of_pixel[min(column, N - 8) + k]
                        _store(far, at + 16 * k, _load(waves, 16 * (row // 8 * N + c)))
                    _transpose(far, at)
            _transform_rows(far, N, radices, cosines, sines)
            for row in range(N):
                to = (b * N + pixel_of_position[row]) * N
                for column in range(0, N, 8):
                    at = 16 * (column // 8 * N + row)
                    x = _load(far, at)
                    power = _real(x, x) * _real(x, x) + _imaginary(x, x) * _imaginary(x, x)
                    if m > 0:
                        power = _load(total, at) + power
                    if m < modes - 1:
                        _store(total, at, power)
                    else:
                        _store_half(out, to + min(column, N - 8), power * unitary)
