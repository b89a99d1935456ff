"""What the gallery shows: each panel is a few lines of Python, which are run to make it.

The kinds, the parts of the detector and the choices of keys are read from where they are declared,
so a new one has its panel without a change here, with its defaults. Only what cannot be drawn with
defaults (a kind that needs a file, a part that is off) has an example here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ptycho_fast import detector, objects, probes, scans
from ptycho_fast.keys import Declared
from ptycho_fast.kinds import Kind, Kinds
from ptycho_fast.scenario import Scenario
from ptycho_fast.scenario.tables import described_keys

_WIDTH = 88  # of a line of code

SECTIONS = {
    "objects": "The true object: amplitude and phase of the transmission.",
    "probes": "The illumination in the plane of the object: amplitude and phase.",
    "modes": "Partly coherent light: incoherent modes, and a probe that changes during the scan.",
    "scans": "Where the probe goes: nominal positions (orange) and true ones (blue).",
    "boundary": "What the probe meets beyond the object: the same pattern at a corner.",
    "propagation": "From the object to the detector: mean photons, on a log scale.",
    "coherence": "A source of finite size, pixels that integrate over their area, a fly scan.",
    "detector": "A pattern as the ideal detector counts it, and with one part of a real one.",
    "dose": "What nphotons counts, and the same pattern with more and more light.",
}
"""Sections of the gallery and what they show."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A few lines of Python and what they show.

    Attributes
    ----------
    section : str
        One of `SECTIONS`.
    name : str
        Name in its section; the picture's file has it.
    text : str
        One sentence.
    code : str
        The lines. They run in an empty folder, where they may write small files.
    shows : dict
        Titles by name of the variables that are drawn.
    """

    section: str
    name: str
    text: str
    code: str
    shows: Mapping[str, str]

    @property
    def file(self) -> str:
        """Name of the picture."""
        return re.sub(r"[^a-z0-9-]+", "_", f"{self.section}_{self.name}".lower()) + ".png"

    def run(self) -> dict[str, Any]:
        """Run the lines; what they make of the variables that are drawn, by title."""
        made: dict[str, Any] = {}
        exec(compile(self.code, self.file, "exec"), made)
        return {title: made[name] for name, title in self.shows.items()}


def panels() -> list[Panel]:
    """All panels, section by section.

    Examples
    --------
    >>> found = {panel.name: panel for panel in panels() if panel.section == "scans"}
    >>> print(found["fermat"].code)
    from ptycho_fast.scans import make_scan
    from ptycho_fast.scenario import ScanSpec
    <BLANKLINE>
    scan = make_scan(ScanSpec(kind="fermat", n_patterns=200), (256, 256), seed=42)
    <BLANKLINE>
    """
    made = [
        *_objects(),
        *_probes(),
        *_modes(),
        *_scans(),
        *_boundaries(),
        *_propagation(),
        *_coherence(),
        *_detector(),
        *_doses(),
    ]
    return sorted(made, key=lambda panel: list(SECTIONS).index(panel.section))


# --- code ---


def _value(value: object) -> str:
    """A value as ruff would format it."""
    if isinstance(value, str):
        return '"' + value.replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    short = f"{value:g}" if isinstance(value, float) else ""
    if "e" in short and float(short) == value:
        mantissa, exponent = short.split("e")
        return f"{mantissa}e{int(exponent)}"
    return repr(value)


def _call(head: str, arguments: list[str]) -> str:
    """A call on one line, or with an argument on each."""
    line = f"{head}{', '.join(arguments)})"
    if len(line) <= _WIDTH:
        return line
    inner = "".join(f"    {argument},\n" for argument in arguments)
    return f"{head}\n{inner})"


def _spec(name: str, keys: Mapping[str, object]) -> str:
    return _call(f"{name}(", [f"{key}={_value(value)}" for key, value in keys.items()])


def _replaced(scenario: str, changes: Mapping[str, object]) -> str:
    pairs = [f'"{key}": {_value(value)}' for key, value in changes.items()]
    line = f"{scenario}.replace({{{', '.join(pairs)}}})"
    if len(line) <= _WIDTH - len("scenario = "):
        return line
    lines = "".join(f"        {pair},\n" for pair in pairs)
    return f"{scenario}.replace(\n    {{\n{lines}    }}\n)"


def _geometry(N: int, keys: Mapping[str, object]) -> str:
    arguments = [str(N), *(f"{key}={_value(value)}" for key, value in keys.items())]
    return "geometry = " + _call("make_geometry(", arguments)


# --- objects, probes and scans: one panel for each kind ---

_SIDE, _N, _COUNT = 256, 128, 200  # of objects, of probes, and of positions
_XRAYS = {"energy_ev": 8000.0, "detector_distance_m": 0.8, "detector_pixel_m": 75e-6}
_ELECTRONS = {"radiation": "electron", "energy_ev": 200e3, "object_pixel_m": 2e-11}

# Keys and optics of the kinds that cannot do without.
_KEYS: dict[tuple[str, str], dict[str, object]] = {
    ("object", "refractive"): {"delta": 1e-5, "beta": 1e-7, "thickness_m": 5e-6},
    ("probe", "zernike"): {"indices": [6, 8], "coefficients": [1.5, 1.0]},
    ("probe", "zone_plate"): {
        "diameter_m": 100e-6,
        "outer_zone_width_m": 50e-9,
        "central_stop_m": 40e-6,
        "defocus_m": 2e-4,
    },
    ("probe", "electron"): {"defocus_m": 2e-8},
}
_OPTICS: dict[tuple[str, str], dict[str, object]] = {
    ("object", "weak_phase"): _ELECTRONS,
    ("probe", "electron"): _ELECTRONS,
}

# Kinds whose lines make a file or an array first.
_WHOLE: dict[tuple[str, str], str] = {
    ("object", "file"): """\
import numpy as np

from ptycho_fast.objects import make_object
from ptycho_fast.scenario import ObjectSpec

y, x = np.mgrid[-1:1:200j, -1:1:256j]
np.savez("object.npz", objectGuess=np.exp(2j * np.cos(9 * x) * np.sin(7 * y)))
obj = make_object(ObjectSpec(kind="file", file="object.npz"), seed=42)
""",
    ("object", "given"): """\
import numpy as np

from ptycho_fast import Scenario
from ptycho_fast.objects import make_object

y, x = np.mgrid[-1:1:256j, -1:1:256j]
mine = (np.hypot(x, y) < 0.8) * np.exp(3j * x * y)
scenario = Scenario().with_given(object=mine)
obj = make_object(scenario.object, seed=42, given=mine)
""",
    ("object", "image_folder"): """\
from pathlib import Path

import numpy as np
from skimage.data import camera
from skimage.io import imsave

from ptycho_fast.objects import make_object
from ptycho_fast.scenario import ObjectSpec

Path("pictures").mkdir(exist_ok=True)
imsave("pictures/first.png", np.ascontiguousarray(camera()[::2, ::2]), check_contrast=False)
obj = make_object(ObjectSpec(kind="image_folder", folder="pictures"), seed=42)
""",
    ("probe", "file"): """\
import numpy as np

from ptycho_fast.probes import make_probe
from ptycho_fast.scenario import ProbeSpec

y, x = np.mgrid[-1:1:128j, -1:1:128j]
np.savez("probe.npz", probeGuess=np.exp(-((x / 0.4) ** 2) - (y / 0.2) ** 2 + 3j * x))
probe = make_probe(ProbeSpec(kind="file", file="probe.npz"), 128)
""",
    ("probe", "given"): """\
import numpy as np

from ptycho_fast import Scenario
from ptycho_fast.probes import make_probe

y, x = np.mgrid[-1:1:128j, -1:1:128j]
mine = (np.abs(x) < 0.4) * (np.abs(y) < 0.3) * np.exp(4j * y**2)
scenario = Scenario().with_given(probe=mine)
probe = make_probe(scenario.probe, 128, given=mine)
""",
    ("scan", "file"): """\
import numpy as np

from ptycho_fast.scans import make_scan
from ptycho_fast.scenario import ScanSpec

t = np.linspace(0.3, 1, 200)
spiral = 100 * np.stack([t * np.cos(40 * t), t * np.sin(40 * t)], axis=1)
np.savetxt("scan.csv", spiral, delimiter=",", header="x, y")
spec = ScanSpec(kind="file", file="scan.csv", place="zero_centred")
scan = make_scan(spec, (256, 256), seed=42)
""",
    ("scan", "given"): """\
import numpy as np

from ptycho_fast import Scenario
from ptycho_fast.scans import make_scan

mine = np.random.default_rng(1).normal(128, 30, (200, 2))
scenario = Scenario().with_given(positions=mine)
scan = make_scan(scenario.scan, (256, 256), seed=42, given=mine)
""",
}
_EXAMPLE = "; the lines make a small example first"


def _text(kind: Kind, whole: bool = False) -> str:
    return kind.doc.rstrip(".") + (_EXAMPLE if whole else "")


def _variants(kind: Kind) -> Iterator[dict[str, object]]:
    """One for each choice of a key that has the name of the kind, or is called preset."""
    for name in (kind.name, "preset"):
        if name in kind.keys:
            for choice in kind.keys[name].choices:
                yield {name: choice}


def _of_kinds(
    table: str,
    kinds: Kinds,
    make: str,
    spec: str,
    result: str,
    rest: str,
    common: dict[str, object],
) -> Iterator[Panel]:
    """A panel for each kind of a table, and for each of its presets."""
    for kind in kinds.values():
        place = table, kind.name
        section, title = f"{table}s", kind.name
        if place in _WHOLE:
            yield Panel(
                section=section,
                name=title,
                text=_text(kind, whole=True),
                code=_WHOLE[place],
                shows={result: title},
            )
            continue
        for variant in ({}, *_variants(kind)):
            usual = {key: value for key, value in common.items() if key in kind.keys}
            needed = variant or _KEYS.get(place, {})
            keys = {"kind": kind.name} | usual | needed
            imports = [f"from ptycho_fast.{table}s import {make}"]
            lines = []
            arguments = rest
            if "geometry" in kind.context and table != "scan":  # those have steps in pixels
                imports.append("from ptycho_fast.optics import make_geometry")
                lines.append(_geometry(_N, _OPTICS.get(place, _XRAYS)))
                arguments += ", geometry=geometry"
            imports.append(f"from ptycho_fast.scenario import {spec}")
            written = _spec(spec, keys)
            line = f"{result} = {make}({written}, {arguments})"
            if len(line) > _WIDTH:
                lines.append(f"spec = {written}")
                line = f"{result} = {make}(spec, {arguments})"
            lines.append(line)
            name = " ".join([kind.name, *map(str, variant.values())])
            yield Panel(
                section=section,
                name=name,
                text=_text(kind),
                code="\n".join([*sorted(imports), "", *lines, ""]),
                shows={result: name},
            )


def _objects() -> Iterator[Panel]:
    common: dict[str, object] = {"size": _SIDE}
    yield from _of_kinds(
        "object", objects.KINDS, "make_object", "ObjectSpec", "obj", "seed=42", common
    )
    for name, keys, text, made in (
        (
            "amplitude and phase",
            {
                "kind": "dead_leaves",
                "size": _SIDE,
                "amplitude_min": 0.5,
                "phase_min": -1.0,
                "phase_max": 1.0,
                "correlation": -1.0,
            },
            "Ranges mean the same for every kind; here what absorbs most has the largest phase",
            {"obj": "ranges"},
        ),
        (
            "slices",
            {"kind": "points", "size": _SIDE, "number": 60, "width": 3.0, "slices": 2},
            "A thick object: each slice is a drawing of its own",
            {"first": "slice 1", "second": "slice 2"},
        ),
    ):
        yield Panel(
            section="objects",
            name=name,
            text=text,
            code="from ptycho_fast.objects import make_object\n"
            "from ptycho_fast.scenario import ObjectSpec\n\n"
            f"spec = {_spec('ObjectSpec', keys)}\n"
            f"{', '.join(made)} = make_object(spec, seed=42)\n",
            shows=made,
        )


def _probes() -> Iterator[Panel]:
    yield from _of_kinds("probe", probes.KINDS, "make_probe", "ProbeSpec", "probe", str(_N), {})


def _scans() -> Iterator[Panel]:
    common: dict[str, object] = {"n_patterns": _COUNT}
    shape = f"({_SIDE}, {_SIDE}), seed=42"
    yield from _of_kinds("scan", scans.KINDS, "make_scan", "ScanSpec", "scan", shape, common)
    few = {"kind": "raster", "n_patterns": 100}
    for name, keys, text in (
        ("jitter", {"jitter": 2.5}, "Random errors of the positions that nobody knows of"),
        ("drift", {"drift_x": 12.0, "drift_y": -6.0}, "The stage drifts from first to last"),
        ("walk", {"drift_x": 9.0, "drift_y": 9.0, "drift_law": "walk"}, "The drift is a walk"),
        (
            "affine",
            {"scale_x": 1.05, "scale_y": 0.92, "rotation": 0.06, "shear": 0.05},
            "Errors of the stage: scale, shear and rotation about the middle",
        ),
        (
            "fly scan",
            {"kind": "snake", "n_patterns": 36, "fly_points": 5, "fly_fraction": 0.8},
            "Exposures on the move: sub-exposures (blue) along the way to the next position",
        ),
    ):
        yield Panel(
            section="scans",
            name=name,
            text=text,
            code="from ptycho_fast.scans import make_scan\n"
            "from ptycho_fast.scenario import ScanSpec\n\n"
            f"spec = {_spec('ScanSpec', few | keys)}\n"
            f"scan = make_scan(spec, {shape})\n",
            shows={"scan": name},
        )


# --- patterns: a scenario with and without something ---

_BASE: dict[str, object] = {
    "object.kind": "dead_leaves",
    "object.size": _SIDE,
    "object.radius_max": 8.0,
    "object.phase_max": 2.0,
    "probe.kind": "gaussian",
    "probe.sigma": 6.0,
    "scan.n_patterns": 4,
    "scan.buffer": 40.0,
    "dose.nphotons": 1e6,
}
_IMPORTS = "from ptycho_fast import Scenario, Simulator\n"


def _base(changes: Mapping[str, object] | None = None, imports: str = _IMPORTS) -> str:
    made = _replaced("Scenario()", _BASE | dict(changes or {}))
    return f"{imports}\nscenario = {made}\n"


def _pattern(name: str, changes: Mapping[str, object]) -> str:
    """Lines that make the first pattern with some changes."""
    if not changes:
        return f"{name} = Simulator(scenario).frames(0, 1)[0]\n"
    line = f"{name} = Simulator({_replaced('scenario', changes)}).frames(0, 1)[0]\n"
    if "\n" not in line[:-1] and len(line) <= _WIDTH:
        return line
    changed = f"changed = {_replaced('scenario', changes)}\n"
    return f"{changed}{name} = Simulator(changed).frames(0, 1)[0]\n"


def _known() -> dict[str, Declared]:
    """Every key of a scenario, by dotted name."""
    return described_keys(Scenario)


def _choices(key: str) -> tuple[str, ...]:
    """The words that a key may hold."""
    return _known()[key].choices


def _pair(
    section: str,
    name: str,
    text: str,
    changes: Mapping[str, object],
    base: Mapping[str, object] | None = None,
) -> Panel:
    """The first pattern without and with something."""
    return Panel(
        section=section,
        name=name,
        text=text,
        code=_base(base) + _pattern("without", {}) + _pattern("pattern", changes),
        shows={"without": "without", "pattern": name},
    )


def _modes() -> Iterator[Panel]:
    head = (
        "from ptycho_fast.probes import make_probe\nfrom ptycho_fast.scenario import ProbeSpec\n\n"
    )
    examples: dict[str, dict[str, object]] = {
        "hermite_gauss": {"modes": 4},
        "gaussian_schell": {"modes": 4, "coherence_length": 25.0},
    }
    for kind in _choices("probe.mode_kind"):
        if kind == "given":
            continue
        keys = {"kind": "gaussian", "sigma": 12.0, "mode_kind": kind} | examples.get(kind, {})
        yield Panel(
            section="modes",
            name=kind,
            text=f"Incoherent modes, {kind}: they are orthogonal, and their intensities add",
            code=f"{head}spec = {_spec('ProbeSpec', keys)}\nprobe = make_probe(spec, {_N})\n",
            shows={"probe": kind},
        )
    yield _pair(
        "modes",
        "pattern of four modes",
        "Modes wash out the pattern; they are not a coherent sum",
        {"probe.mode_kind": "hermite_gauss", "probe.modes": 4},
    )
    yield Panel(
        section="modes",
        name="variation",
        text="A probe that changes from pattern to pattern (OPR): its mode in two of them",
        code="import numpy as np\n\n"
        "from ptycho_fast.probes import make_probe, make_variation\n"
        "from ptycho_fast.scenario import ProbeSpec\n\n"
        'spec = ProbeSpec(kind="gaussian", sigma=14.0, variation=0.4)\n'
        f"probe = make_probe(spec, {_N})\n"
        "eigenprobes, weights = make_variation(spec, probe, 100, 42)\n"
        "planes = np.concatenate([[probe], eigenprobes])\n"
        'first, second = np.einsum("bk,kij->bij", weights[[0, 50]], planes)\n',
        shows={"first": "pattern 0", "second": "pattern 50"},
    )


def _boundaries() -> Iterator[Panel]:
    changes = {"scan.kind": "raster", "scan.buffer": 5.0, "scan.n_patterns": 4}
    policies = [name for name in _choices("scan.boundary") if name != "error"]
    for name in policies:
        lines = _base(changes) + _pattern("pattern", {"scan.boundary": name})
        yield Panel(
            section="boundary",
            name=name,
            text=f"scan.boundary = {_value(name)}",
            code=lines,
            shows={"pattern": name},
        )


def _propagation() -> Iterator[Panel]:
    wave = {"optics.energy_ev": 8000.0, "noise": False}
    examples: dict[str, dict[str, object]] = {
        "far_field": {"optics.detector_distance_m": 2.0, "optics.detector_pixel_m": 75e-6},
        "near_field": {
            "optics.propagation": "near_field",
            "optics.detector_distance_m": 0.01,
            "optics.detector_pixel_m": 2e-7,
        },
    }
    for name in _choices("optics.propagation"):
        yield Panel(
            section="propagation",
            name=name,
            text=f"optics.propagation = {_value(name)}",
            code=_base(wave | examples.get(name, {"optics.propagation": name}))
            + _pattern("pattern", {}),
            shows={"pattern": name},
        )
    thick = {"object.slices": 3, "optics.slice_distance_m": 1e-5}
    yield _pair(
        "propagation",
        "multislice",
        "A thick object of three slices, the wave propagates from each to the next",
        thick,
        base=wave | {"optics.object_pixel_m": 5e-8},
    )


def _coherence() -> Iterator[Panel]:
    for name, changes, text in (
        ("source blur", {"detector.source_blur": 1.5}, "Every point of the source has its pattern"),
        ("oversample", {"detector.oversample": 2}, "A detector pixel integrates over its area"),
        (
            "fly scan",
            {"scan.kind": "raster", "scan.fly_points": 8},
            "Intensities of the sub-exposures of a fly scan are averaged",
        ),
    ):
        yield _pair("coherence", name, text, changes)


# Values with which a part of the detector can be seen.
_PARTS: dict[str, dict[str, object]] = {
    "quantum efficiency": {"detector.quantum_efficiency": 0.1, "dose.mode": "incident"},
    "sensor": {
        "dose.mode": "incident",
        "detector.material": "Si",
        "detector.thickness_m": 320e-6,
        "optics.energy_ev": 20000.0,
    },
    "point spread": {"detector.point_spread": 1.5},
    "dead time": {"detector.dead_time_s": 1e-6, "detector.exposure_time_s": 2e-3},
    "dead time, paralysable": {
        "detector.dead_time_s": 1e-6,
        "detector.exposure_time_s": 2e-3,
        "detector.paralysable": True,
    },
    "dark counts": {"detector.dark_counts": 0.5},
    "gain": {"detector.gain": 10.0},
    "read-out noise": {"detector.readout_noise": 3.0},
    "offset": {"detector.offset": 50.0},
    "saturation": {"detector.saturation": 100},
    "wrap-around": {"detector.saturation": 100, "detector.wrap": True},
    "quantisation": {"detector.gain": 0.5, "detector.quantisation": 16.0},
    "dead and hot pixels": {
        "detector.dead_pixels": 0.01,
        "detector.hot_pixels": 0.01,
        "detector.hot_value": 1000,
    },
    "module gaps": {
        "detector.module_shape": [24, 32],
        "detector.module_gap": [4, 2],
        "detector.module_offset": [5, 10],
        "detector.masked_value": 0,
    },
    "beam stop": {"detector.beam_stop_radius": 4.0},
}


_FROM_FILES = ("detector.bad_pixels_file", "detector.bad_pixels_sha256")  # of other data sets


def _detector() -> Iterator[Panel]:
    keys = {f"detector.{name}" for name in detector.keys()}  # noqa: SIM118 - of a module
    known = _known()
    shown: set[str] = {
        "detector.preset",
        "detector.source_blur",
        "detector.oversample",
        *_FROM_FILES,
    }
    for name, changes in _PARTS.items():
        shown |= changes.keys()
        first = next(iter(changes))
        yield _pair("detector", name, f"`{first}`: {known[first].key.doc}", changes)
    for key in sorted(keys - shown):  # a new part, without an example
        yield _pair("detector", key.partition(".")[2], f"`{key}`: {known[key].key.doc}", {})
    for name in _choices("detector.preset"):
        yield _pair(
            "detector",
            f"preset {name}",
            "A detector that can be bought, near the corner of a module if it has modules",
            {"detector.preset": name, "detector.module_offset": [2, 2]},
            base={
                "optics.energy_ev": 12000.0,
                "dose.mode": "incident",
                "detector.exposure_time_s": 1e-3,
            },
        )


def _doses() -> Iterator[Panel]:
    numbers: dict[str, dict[str, object]] = {
        "per_pixel_mean": {"dose.nphotons": 20.0},
        "per_area": {"dose.fluence_per_m2": 1e18, "optics.object_pixel_m": 5e-8},
    }
    for name in _choices("dose.mode"):
        changes = {"dose.mode": name} | numbers.get(name, {})
        yield Panel(
            section="dose",
            name=name,
            text=f"dose.mode = {_value(name)}",
            code=_base() + _pattern("pattern", changes),
            shows={"pattern": name},
        )
    imports = "from ptycho_fast import Scenario\nfrom ptycho_fast.ladder import dose_ladder\n"
    yield Panel(
        section="dose",
        name="ladder",
        text="The same scan at several doses: no pixel loses a photon when the dose grows",
        code=_base(imports=imports)
        + "few, more, many = (data.counts[0] for data in dose_ladder(scenario, [1e3, 1e5, 1e7]))\n",
        shows={"few": "1e3 photons", "more": "1e5 photons", "many": "1e7 photons"},
    )
