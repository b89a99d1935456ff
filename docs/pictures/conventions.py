"""Draw docs/conventions.png: where a position points, and what lands where.

``python docs/pictures/conventions.py [FILE]`` (extra ``plot``). Everything shown is computed by the
package, so that the picture cannot contradict it.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import ptycho_fast

N = 16
POSITIONS = {"A": (24.0, 13.0), "B": (0.0, 0.0)}  # [x, y]
COLOURS = {"A": "#e8590c", "B": "#1c7ed6"}
INK = "#212529"


def letter() -> np.ndarray:
    """An F of amplitude 1 on a background of 0.35: (32, 44), no symmetry of any kind."""
    obj = np.full((32, 44), 0.35)
    obj[4:28, 14:18] = 1
    obj[4:8, 14:33] = 1
    obj[14:18, 14:27] = 1
    return obj.astype(np.complex64)


def probe() -> np.ndarray:
    """A round, soft spot centred on index (N//2, N//2): (N, N)."""
    r = np.hypot(*np.mgrid[-N // 2 : N // 2, -N // 2 : N // 2])
    return np.exp(-((r / (0.33 * N)) ** 4)).astype(np.complex64)


def show(axes, image, **options):
    """An array with row 0 at the top and pixel centres at integers."""
    axes.imshow(image, origin="upper", interpolation="nearest", **options)
    axes.tick_params(length=2.5, labelsize=8, colors=INK)
    for side in axes.spines.values():
        side.set_color("#adb5bd")


def pixel(axes, column, row, colour, width=2.2):
    """The outline of one pixel."""
    axes.add_patch(
        Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec=colour, lw=width, zorder=5)
    )


def draw_object(axes, obj):
    """The object, the axes of a position, and the outlines of two patches."""
    H, W = obj.shape
    show(axes, np.abs(obj), cmap="gray", vmin=0, vmax=1.08)
    for name, (x, y) in POSITIONS.items():
        colour = COLOURS[name]
        corner = (x - N // 2 - 0.5, y - N // 2 - 0.5)
        axes.add_patch(Rectangle(corner, N, N, fill=False, ec=colour, lw=2, clip_on=False))
        pixel(axes, x, y, colour)
    axes.set_xlim(-N // 2 - 1, W + 0.5)
    axes.set_ylim(H + 0.5, -N // 2 - 1)
    axes.set_facecolor("#f1f3f5")

    x, y = POSITIONS["A"]
    dotted = {"color": COLOURS["A"], "lw": 1.2, "ls": (0, (2, 2)), "zorder": 4}
    axes.plot([x, x], [-0.5, y - 0.5], **dotted)
    axes.plot([-0.5, x - 0.5], [y, y], **dotted)
    label = {"fontsize": 11, "fontweight": "bold", "zorder": 6}
    axes.text(x + 0.8, 1.6, f"x = {x:.0f}", color=COLOURS["A"], ha="left", va="center", **label)
    axes.text(2, y - 1.1, f"y = {y:.0f}", color=COLOURS["A"], ha="left", va="center", **label)
    axes.text(
        x + N // 2 - 0.9, y + N // 2 - 1.6, "patch A", color=COLOURS["A"], ha="right", **label
    )
    axes.text(-N // 2 + 0.2, -N // 2 + 1.4, "patch B", color=COLOURS["B"], ha="left", **label)
    axes.text(1.1, 1.6, "(0, 0)", color=COLOURS["B"], ha="left", va="center", **label)

    arrow = {"arrowstyle": "-|>", "color": INK, "lw": 1.6, "shrinkA": 0, "shrinkB": 0}
    for tip, text, at, how in (
        ((33, -3.2), "x, the column", (33.7, -3.2), {"ha": "left", "va": "center"}),
        ((-4.6, 25), "y, the row", (-4.6, 26.2), {"ha": "center", "va": "top"}),
    ):
        start = (N // 2 + 1.5, -3.2) if tip[1] < 0 else (-4.6, N // 2 + 1.5)
        axes.annotate("", tip, start, arrowprops=arrow, annotation_clip=False)
        axes.text(*at, text, fontsize=10.5, color=INK, **how)
    axes.set_title("object (H, W), pixel centres at integers", fontsize=11, color=INK)
    axes.set_xlabel("column", fontsize=9, color=INK)
    axes.set_ylabel("row", fontsize=9, color=INK)
    axes.set_xticks(range(0, W, 10))
    axes.set_yticks(range(0, H, 10))


def draw_patch(axes, patch, name):
    """What the probe sees at a position."""
    x, y = POSITIONS[name]
    show(axes, np.abs(patch), cmap="gray", vmin=0, vmax=1.08)
    pixel(axes, N // 2, N // 2, COLOURS[name])
    title = f"patch {name}, at position [{x:.0f}, {y:.0f}]"
    axes.set_title(title, fontsize=11, color=COLOURS[name])
    if not patch.all():
        axes.text(3.5, 3.5, "0 outside\nthe object", color="white", fontsize=10, ha="center")


def draw_pattern(axes, intensity, name):
    """The far field of exit wave = probe * patch."""
    show(axes, intensity, cmap="magma", norm=LogNorm(intensity.max() / 3e4, intensity.max()))
    pixel(axes, N // 2, N // 2, "#ffffff", 1.6)
    axes.text(
        N // 2,
        13.6,
        "zero frequency\nat (8, 8)",
        color="white",
        fontsize=10,
        ha="center",
        va="center",
    )
    axes.set_title(f"far field of {name}, N = {N}", fontsize=11, color=COLOURS[name])


def draw(path: str | Path) -> None:
    """Write the picture."""
    obj, positions = letter(), np.array(list(POSITIONS.values()))
    patches = ptycho_fast.extract_patches(obj, positions, N, backend="reference")
    patterns = ptycho_fast.diffract(obj, probe(), positions, backend="reference")

    figure = Figure(figsize=(12.4, 6.2), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 3, width_ratios=[2.35, 1, 1])
    draw_object(figure.add_subplot(grid[:, 0]), obj)
    for row, name in enumerate(POSITIONS):
        patch_axes, pattern_axes = (figure.add_subplot(grid[row, column]) for column in (1, 2))
        draw_patch(patch_axes, patches[row], name)
        draw_pattern(pattern_axes, patterns[row], name)
        for axes in (patch_axes, pattern_axes):
            axes.set_xticks([0, N // 2, N - 1])
            axes.set_yticks([0, N // 2, N - 1])
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    draw(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "conventions.png")
