"""Waves in physical units: wavelength, sizes of pixels, propagation through free space.

All lengths are in metres and energies in electronvolts; names carry the unit.
"""

from ptycho_fast.keys import declared_by

from .geometry import Geometry, geometry_text, make_geometry
from .propagation import farthest, transfer_function
from .wavelength import energy, wavelength

__all__ = [
    "KEYS",
    "Geometry",
    "energy",
    "farthest",
    "geometry_text",
    "make_geometry",
    "transfer_function",
    "wavelength",
]

KEYS = declared_by(make_geometry)
"""The keys of the table ``[optics]``, by name."""
