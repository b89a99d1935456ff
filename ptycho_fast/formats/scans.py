"""What the raw scans of ptypy and of PtyLab have in common: patterns, positions and lengths.

Object and probe may be missing, and what the layout has no place for stands in `rest`.
"""

import os
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ptycho_fast.formats import fields
from ptycho_fast.formats.contents import Contents
from ptycho_fast.formats.patterns import Patterns
from ptycho_fast.formats.rest import Rest
from ptycho_fast.formats.truth import Truth


class Scan(NamedTuple):
    """What a file holds beside its patterns.

    Attributes
    ----------
    positions : (B, 2) float64
        ``[x, y]``, object pixels.
    fields : dict
        Further fields of `Contents`, among them ``geometry``.
    rest : Rest
        What the layout has no place for.
    """

    positions: npt.NDArray[np.float64]
    fields: dict[str, Any]
    rest: Rest

    def contents(
        self,
        patterns: Patterns,
        name: str,
        domain: str,
        path: str | os.PathLike[str],
        planes: dict[str, str | os.PathLike[str] | None],
    ) -> Contents:
        """The data set.

        Parameters
        ----------
        patterns : Patterns
            Those in the file.
        name : str
            File and key of the patterns, for messages.
        domain : str
            What they mean.
        path : path-like
            The file.
        planes : dict
            NumPy files for ``object`` and ``probe`` where the file has none.
        """
        told = dict(self.fields)
        for part, given in planes.items():
            if part not in told:
                told[part] = fields.given_plane(path, part, given)
        return Contents(
            **({"positions_nominal": self.positions} | told),
            positions=self.positions,
            diffraction=self.rest.checked(patterns, name, domain),
            domain=domain,
        )

    def truth(self) -> Truth:
        """All but the patterns; object and probe only where the file has them."""
        told = self.fields
        return Truth(
            object=told.get("object"),
            probe=told.get("probe"),
            positions=self.positions,
            mask=told.get("mask"),
            geometry=told["geometry"],
        )
