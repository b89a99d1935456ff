"""The tables of a scenario."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from ptycho_fast import detector, objects, optics, probes, scans
from ptycho_fast.keys import Declared, Key
from ptycho_fast.kinds import Kinds

from .tables import FixedTable, KindTable, OpenTable

DoseMode = Literal[
    "detected_mean", "incident", "per_pattern", "per_pixel_mean", "max_pattern", "per_area", "none"
]

_UINT32_MAX = 2**32 - 1
_UINT64_MAX = 2**64 - 1


class OpticsSpec(OpenTable):
    """Wavelength, distances and sizes of pixels, in SI units; all may be left out."""

    __slots__ = ()
    _path: ClassVar[str] = "optics."

    @classmethod
    def known(cls) -> dict[str, Declared]:
        """Every key, by name."""
        return optics.KEYS


class ObjectSpec(KindTable):
    """The object under the probe; its kinds are the functions in ``ptycho_fast.objects``."""

    __slots__ = ()
    _path: ClassVar[str] = "object."
    kinds: ClassVar[Kinds] = objects.KINDS
    common: ClassVar[Mapping[str, Declared]] = objects.COMMON


class ProbeSpec(KindTable):
    """The illumination; its kinds are the functions in ``ptycho_fast.probes``."""

    __slots__ = ()
    _path: ClassVar[str] = "probe."
    kinds: ClassVar[Kinds] = probes.KINDS
    common: ClassVar[Mapping[str, Declared]] = probes.COMMON


class ScanSpec(KindTable):
    """Where the probe goes; its kinds are the functions in ``ptycho_fast.scans``."""

    __slots__ = ()
    _path: ClassVar[str] = "scan."
    kinds: ClassVar[Kinds] = scans.KINDS
    common: ClassVar[Mapping[str, Declared]] = scans.COMMON
    n_patterns: int | None  # every kind of scan has it; None: as many as there are in a file

    @property
    def outside(self) -> Literal["zero", "vacuum", "edge"]:
        """What the kernels take for the object beyond its rim; "error" sees to it beforehand."""
        found: Any = "zero" if self.boundary == "error" else self.boundary
        return found


class DetectorSpec(OpenTable):
    """What the detector does to the counts; every part of it is off by default."""

    __slots__ = ()
    _path: ClassVar[str] = "detector."

    @classmethod
    def known(cls) -> dict[str, Declared]:
        """Every key of every part, by name."""
        return detector.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseSpec(FixedTable):
    """How much light there is; ``mode`` says where it is counted."""

    _path: ClassVar[str] = "dose."

    nphotons: Annotated[
        float,
        Key(
            "mean detected photons per pattern",
            gt=0,
            synonyms=("dose", "photons", "n_photons", "flux", "intensity"),
        ),
    ] = 1e9
    mode: Annotated[
        DoseMode,
        Key(
            "what nphotons counts: detected photons of a mean pattern, of each pattern, of a mean "
            "pixel, of the brightest pattern, or photons in the probe; per_area takes a fluence in "
            "its place, none takes the intensity as photons",
            synonyms=("dose_mode", "per", "normalisation", "normalization"),
        ),
    ] = "detected_mean"
    fluence_per_m2: Annotated[
        float | None,
        Key(
            "photons or electrons on a square metre of the object, with mode per_area",
            gt=0,
            synonyms=("fluence",),
        ),
    ] = None
    fluence_per_angstrom2: Annotated[
        float | None,
        Key(
            "the same on a square angstrom",
            gt=0,
            synonyms=("fluence_per_A2", "electrons_per_angstrom2", "e_per_A2"),
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSpec(FixedTable):
    """One seed for each random draw, so that each can change alone."""

    _path: ClassVar[str] = "seeds."

    # NumPy's legacy generator, which drew the published objects and scans, takes 32 bits.
    object: Annotated[int, Key("seed of the object", ge=0, le=_UINT32_MAX)] = 42
    scan: Annotated[int, Key("seed of the positions", ge=0, le=_UINT32_MAX)] = 42
    photons: Annotated[
        int, Key("seed of the photon noise", ge=0, le=_UINT64_MAX, synonyms=("seed",))
    ] = 42
    groups: Annotated[int, Key("seed of the grouping", ge=0, le=_UINT64_MAX)] = 42
    probe: Annotated[int, Key("seed of what varies in the probe", ge=0, le=_UINT64_MAX)] = 42
    detector: Annotated[
        int, Key("seed of bad pixels and of the detector's noise", ge=0, le=_UINT64_MAX)
    ] = 42
    defects: Annotated[
        int | None,
        Key(
            "seed of which pixels are dead or hot; by default seeds.detector",
            ge=0,
            le=_UINT64_MAX,
        ),
    ] = None
    campaign: Annotated[
        int, Key("seed of what a campaign draws", ge=0, le=_UINT64_MAX, drawn=False)
    ] = 42

    @property
    def bad_pixels(self) -> int:
        """The seed of which pixels are dead or hot."""
        return self.detector if self.defects is None else self.defects


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSpec(FixedTable):
    """Training and test halves: patterns are sorted on y, and smaller y is for training."""

    _path: ClassVar[str] = "split."

    train_fraction: Annotated[
        float,
        Key(
            "share of the patterns that is for training, no unit",
            gt=0,
            lt=1,
            synonyms=("fraction", "train", "train_share"),
        ),
    ] = 0.5

    def sizes(self, n_patterns: int) -> tuple[int, int]:
        """Count the patterns on each side of the split.

        Parameters
        ----------
        n_patterns : int
            Number of patterns in all.

        Returns
        -------
        tuple of int
            Patterns for training (rounded down) and for test (the others).

        Examples
        --------
        >>> SplitSpec(train_fraction=0.5).sizes(7)
        (3, 4)
        """
        n_train = int(n_patterns * self.train_fraction)
        return n_train, n_patterns - n_train


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSpec(FixedTable):
    """How patterns form groups of ``gridsize**2`` neighbours (solution regions)."""

    _path: ClassVar[str] = "groups."

    n_train: Annotated[
        int, Key("number of groups in the training part", ge=1, synonyms=("n_groups", "groups"))
    ] = 256
    n_test: Annotated[int, Key("number of groups in the test part", ge=1)] = 128
    neighbours: Annotated[
        int, Key("nearest neighbours that a group is drawn from", ge=1, synonyms=("K",))
    ] = 4
    order: Annotated[
        Literal["fixed", "random"],
        Key("order within a group: smaller y pair first, each pair by x; or as drawn"),
    ] = "fixed"
    include_seed: Annotated[bool, Key("whether the seed pattern counts among its neighbours")] = (
        False
    )
