"""Object, probe, scan and pattern of a data set, each on an axis of matplotlib."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.formats.contents import projected

if TYPE_CHECKING:
    from ptycho_fast.data.dataset import Dataset
    from ptycho_fast.experiment import Experiment

_MOST_DOTS = 2000  # positions that are drawn one by one
_LARGEST_IMAGE = 1000  # pixels along a side; larger objects are thinned out
_DARK = 0.01  # of the largest amplitude: below, a probe's phase says nothing


def draw_object(amplitude: Any, phase: Any, obj: npt.NDArray[np.complex64]) -> None:
    """Amplitude and phase of an object (H, W)."""
    obj, extent = thinned(obj)
    draw_image(amplitude, np.abs(obj), "object amplitude", cmap="gray", extent=extent)
    draw_phase(phase, obj, "object phase (rad)", extent=extent)


def draw_probe(amplitude: Any, phase: Any, probe: npt.NDArray[np.complex64]) -> None:
    """Amplitude of all modes of a probe (M, N, N) together, and the phase of the first."""
    modulus = np.sqrt((np.abs(probe) ** 2).sum(axis=0))
    draw_image(amplitude, modulus, "probe amplitude", cmap="gray")
    which = "" if len(probe) == 1 else f", mode 1 of {len(probe)}"
    draw_phase(phase, probe[0], f"probe phase (rad){which}", dark=_DARK)


def draw_phase(
    axis: Any, values: npt.NDArray[np.complex64], title: str, *, dark: float = 0.0, **options: Any
) -> None:
    """Phase where the amplitude is above `dark` times the largest, or words where it is zero."""
    modulus = np.abs(values)
    shown = np.ma.masked_where(modulus <= dark * modulus.max(), np.angle(values))
    if not shown.any():
        axis.set_title(title)
        axis.set(xticks=[], yticks=[], box_aspect=1)
        axis.text(0.5, 0.5, "phase is zero everywhere", ha="center", transform=axis.transAxes)
        return
    draw_image(axis, shown, title, cmap="twilight", vmin=-math.pi, vmax=math.pi, **options)


def draw_scan(axis: Any, data: "Dataset | Experiment") -> None:
    """Positions over the object: dots, or their density where dots would be a solid block.

    Intended positions are blue where they differ.
    """
    H, W = projected(data.object).shape
    x, y = data.positions.T
    inside = (x >= -0.5) & (x < W - 0.5) & (y >= -0.5) & (y < H - 0.5)
    outside = "" if inside.all() else f",\n{(~inside).sum()} outside the object"
    axis.set_title(f"{data.n_patterns} positions{outside}")
    if data.n_patterns <= _MOST_DOTS:
        modulus, extent = thinned(np.abs(projected(data.object)))
        axis.imshow(modulus, cmap="gray", extent=extent)
        size = 8 if data.n_patterns <= 100 else 2
        if not np.array_equal(data.positions_nominal, data.positions):
            nominal = data.positions_nominal.T
            axis.plot(*nominal, ".", markersize=size, color="tab:blue")
        axis.plot(x[inside], y[inside], ".", markersize=size, color="tab:orange")
    else:
        side = max(H, W) / min(50, math.isqrt(data.n_patterns // 5))
        bins = [max(1, round(length / side)) for length in (H, W)]
        box = ((-0.5, H - 0.5), (-0.5, W - 0.5))
        density, _, _ = np.histogram2d(y[inside], x[inside], bins, box)
        image = axis.imshow(density, cmap="viridis", extent=bounds(H, W))
        add_scale(axis, image, label=f"in {side:.3g} x {side:.3g} pixels")
    axis.set_xlim(-0.5, W - 0.5)
    axis.set_ylim(H - 0.5, -0.5)


def light(dataset: "Dataset", b: int) -> tuple[npt.NDArray[np.float64], str]:
    """Pattern `b`, and what is shown of it: photons, where the data set says how many there are."""
    if dataset.domain == "count_intensity":
        return dataset.diffraction[b].astype(np.float64), "photons"
    intensity = dataset.amplitude(b, b + 1)[0].astype(np.float64) ** 2
    if dataset.intensity_scale is None:
        return intensity, "intensity before dose"
    return intensity * dataset.intensity_scale**2, "photons"


def draw_image(axis: Any, image: npt.NDArray[Any], title: str, **options: Any) -> None:
    """An image with its title and colour scale."""
    shown = axis.imshow(image, **options)
    axis.set_title(title)
    add_scale(axis, shown)


def add_scale(axis: Any, shown: Any, **options: Any) -> None:
    """The colour scale of what is shown on an axis."""
    axis.figure.colorbar(shown, ax=axis, fraction=0.045, pad=0.03, **options)


def thinned(
    image: npt.NDArray[Any],
) -> tuple[npt.NDArray[Any], tuple[float, float, float, float]]:
    """Every n-th pixel of a large image, and the extent of the whole."""
    step = math.ceil(max(image.shape) / _LARGEST_IMAGE)
    return image[::step, ::step], bounds(*image.shape)


def bounds(rows: int, columns: int) -> tuple[float, float, float, float]:
    """The extent of an image whose pixels lie at whole numbers, rows downwards."""
    return -0.5, columns - 0.5, rows - 0.5, -0.5
