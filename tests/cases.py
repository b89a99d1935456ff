"""Shapes, seeds and tolerances that the tests and the benchmarks share."""

from dataclasses import dataclass

import numpy as np

# Bounds of a float32 backend against the float64 reference, per pattern, on amplitude.
MAX_ERROR = 1e-6  # of the largest amplitude
L2_ERROR = 1e-6
ENERGY_ERROR = 1e-6
MEAN_ENERGY_ERROR = 2e-7  # of the mean over a data set
PUBLISHED_ERROR = 2e-6  # against the published noise-free arrays


@dataclass(frozen=True)
class Case:
    """A random complex object, an asymmetric probe, positions on and beyond all edges."""

    N: int
    modes: int = 1
    integer: bool = False

    def __str__(self):
        return f"N{self.N}-M{self.modes}" + ("-integer" if self.integer else "")

    def inputs(self):
        rng = np.random.default_rng([self.N, self.modes, self.integer])
        H, W = self.N + 21, self.N + 34
        N, half = self.N, self.N // 2

        def complex_normal(*shape):
            return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)

        edges = [(0, H / 2), (W - 1, H / 2), (W / 2, 0), (W / 2, H - 1), (0, 0), (W - 1, H - 1)]
        beyond = [
            (-half - 0.3, H / 2),
            (W + half + 2.2, 3),
            (W / 2, -N),
            (W / 2, H + N),
            (1e300, 1),
        ]
        inside = [(half, half), (W - N + half, H - N + half)]
        near = rng.uniform([half - 2, half - 2], [W - half + 2, H - half + 2], (6, 2))
        positions = np.array([*edges, *beyond, *inside, *near], np.float64)
        if self.integer:
            positions = np.round(positions)
        else:
            positions[:6] += rng.uniform(-0.9, 0.9, (6, 2))
        return complex_normal(H, W), complex_normal(self.modes, N, N), positions


FUSED = [Case(N) for N in (32, 64, 96, 128, 192, 256)]
ODD = [Case(9), Case(15, 2), Case(31, 3), Case(63), Case(65, 2)]
GENERAL = [Case(8), Case(16, 4), Case(20), Case(34), Case(48), Case(62, 2), Case(100), Case(127)]
MODES = [Case(32, 2), Case(32, 3), Case(64, 4), Case(64, 16)]
INTEGER = [Case(32, integer=True), Case(33, 2, integer=True)]
ALL = FUSED + ODD + GENERAL + MODES + INTEGER
LARGE = [Case(384), Case(512, 2), Case(509), Case(1024), Case(2039), Case(2048)]


# --- exposures that are not plain: arguments of `diffract`, some in place of the case's own ---


def _numbers(case, *shape):
    return np.random.default_rng([case.N, 77]).normal(size=shape)


def _fly(case, parts=3):
    """Sub-exposures along a line."""
    _, _, positions = case.inputs()
    return {"positions": positions[:, None] + np.linspace(0, 2.5, parts)[:, None] * [1, 0.4]}


def _eigenprobes(case):
    """Two of them beside the case's own modes, 16 planes at most."""
    _, probe, positions = case.inputs()
    probe, planes = probe[:14], min(len(probe), 14) + 2
    more = _numbers(case, 2, 2, case.N, case.N)
    probe = np.concatenate([probe, (more[0] + 1j * more[1]).astype(np.complex64)])
    weights = 1 + 0.3 * _numbers(case, len(positions), planes)
    return {"probe": probe, "weights": weights.astype(np.float32), "modes": planes - 2}


def _slices(case):
    """Three, and what a wave meets between them."""
    obj, _, _ = case.inputs()
    phases = _numbers(case, 3, *obj.shape)
    return {"obj": np.exp(1j * phases).astype(np.complex64), "between": _transfer(case, 0.7)}


def _transfer(case, turns):
    """Fresnel's; the highest frequencies turn so often."""
    f = np.fft.fftfreq(case.N) ** 2
    phases = -4 * np.pi * turns * (f[:, None] + f)
    return np.exp(1j * phases).astype(np.complex64)


def _spread(case, length):
    """A kernel whose numbers sum to one."""
    half = np.exp(-(np.arange(length) ** 2) / 3)
    return {"spread": (half / (2 * half.sum() - half[0])).astype(np.float32)}


def _bin(case):
    """The smallest factor of the side, which leaves a detector of at least one pixel."""
    return {"bin": next(q for q in range(2, case.N + 1) if case.N % q == 0)}


EXPOSURES = {
    "vacuum": lambda case: {"boundary": "vacuum"},
    "edge": lambda case: {"boundary": "edge"},
    "fly": _fly,
    "eigenprobes": _eigenprobes,
    "fly and eigenprobes": lambda case: _fly(case) | _eigenprobes(case) | {"boundary": "edge"},
    "slices": _slices,
    "near": lambda case: {"near": _transfer(case, 1.3)},
    "bin": _bin,
    "spread": lambda case: _spread(case, 4),
    "bin and spread": lambda case: (
        {"bin": case.N // 4} | _spread(case, 2)
        if case.N % 4 == 0
        else _bin(case) | _spread(case, 1)
    ),
    "near, fly, bin": lambda case: _fly(case) | _bin(case) | {"near": _transfer(case, 0.5)},
    "slices, fly, near": lambda case: (
        _slices(case) | _fly(case) | {"near": _transfer(case, 0.3), "boundary": "vacuum"}
    ),
}


def arguments(case, name):
    """Object, probe and positions, and the keywords, of one of EXPOSURES; "plain" has none."""
    options = {} if name == "plain" else EXPOSURES[name](case)
    own = dict(zip(("obj", "probe", "positions"), case.inputs(), strict=True))
    return [options.pop(key, value) for key, value in own.items()], options
