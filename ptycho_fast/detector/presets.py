"""Detectors that can be bought: what is published of them, each number with its source.

A number that no source was found for is left out: it is for the user to give.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from ptycho_fast.keys import Key

Preset = Literal[
    "eiger2",
    "eiger2_8bit",
    "pilatus3",
    "jungfrau",
    "lambda",
    "medipix3",
    "merlin_em",
    "timepix4",
    "empad",
]


def _eiger2() -> dict[str, Any]:
    """DECTRIS EIGER2 X: counts photons, pixels of 75 um, not paralysable.

    Modules of 512 x 1028 pixels, gaps of 38 and 12: pyFAI, detectors/_dectris.py. Counters of 16
    bits that are summed to 32, instant retrigger: DECTRIS, EIGER2 user manual 1.8.2. The silicon
    is 450 um thick (750 um of CdTe is the other choice): pyFAI. No dead time is published that was
    found.
    """
    return {
        "material": "Si",
        "thickness_m": 450e-6,
        "paralysable": False,
        "saturation": 2**32 - 1,
        "module_shape": (512, 1028),
        "module_gap": (38, 12),
    }


def _eiger2_8bit() -> dict[str, Any]:
    """DECTRIS EIGER2 X in its 8-bit mode, which has no overflow protection.

    As eiger2; a count after 255 is 0: DECTRIS, EIGER2 user manual 1.8.2.
    """
    return {**_eiger2(), "saturation": 255, "wrap": True}


def _pilatus3() -> dict[str, Any]:
    """DECTRIS PILATUS3: counts photons, pixels of 172 um, not paralysable.

    Modules of 195 x 487 pixels, gaps of 17 and 7: pyFAI, detectors/_dectris.py. Counters of 20
    bits: dectris.com, features of PILATUS3 X. Instant retrigger: P. Trueb et al., J. Synchrotron
    Rad. 22 (2015) 701 (rv5030).
    """
    return {
        "paralysable": False,
        "saturation": 2**20 - 1,
        "module_shape": (195, 487),
        "module_gap": (17, 7),
    }


def _jungfrau() -> dict[str, Any]:
    """PSI JUNGFRAU: integrates charge, pixels of 75 um, no photons lost by pile-up.

    Stitched modules of 514 x 1030 pixels, gaps of 36 and 8: pyFAI, detectors/_psi.py. Sensor, gain,
    offset, read-out noise and quantisation depend on its make, its settings and the energy, and are
    for the user to give.
    """
    return {"module_shape": (514, 1030), "module_gap": (36, 8)}


def _lambda() -> dict[str, Any]:
    """X-Spectrum Lambda: Medipix3 chips, pixels of 55 um.

    Chips of 256 x 256 pixels, gaps of 4 pixels: pyFAI, detectors/_xspectrum.py. Two counters of 12
    bits, which can be one of 24: X-Spectrum; here the one of 24. Silicon of 300 um is one of the
    sensors offered: pyFAI.
    """
    return {
        "material": "Si",
        "thickness_m": 300e-6,
        "saturation": 2**24 - 1,
        "module_shape": (256, 256),
        "module_gap": (4, 4),
    }


def _medipix3() -> dict[str, Any]:
    """Medipix3: counts photons, one chip of 256 x 256 pixels of 55 um, paralysable.

    Counters of 2 x 12 or 24 bits: CERN, Medipix3 (kt.cern). A dead time of 100 ns is called
    realistic by G. Blaj, J. Synchrotron Rad. 26 (2019) 1621 (pp5145), whose pixels, with a constant
    discharge current, are paralysable.
    """
    return {"saturation": 2**24 - 1, "dead_time_s": 100e-9, "paralysable": True}


def _merlin_em() -> dict[str, Any]:
    """Quantum Detectors Merlin for EM: Medipix3 for electrons.

    24 bits, neither read-out noise nor dark counts: quantumdetectors.com/merlin-for-em.
    """
    return {"saturation": 2**24 - 1, "dark_counts": 0.0, "readout_noise": 0.0}


def _timepix4() -> dict[str, Any]:
    """Timepix4 in counting mode: pixels of 55 um, 512 x 448 of them on a chip.

    Counters of 16 bits (6 bits in a faster mode): medipix.web.cern.ch.
    """
    return {"saturation": 2**16 - 1}


def _empad() -> dict[str, Any]:
    """EMPAD: integrates electrons, 128 x 128 pixels on 500 um of silicon.

    From single electrons to a million of them in a frame: M. W. Tate et al., Microsc. Microanal.
    22 (2016) 237 (arXiv 1511.03539). The spread of an electron grows with its energy, and is for
    the user to give.
    """
    return {"saturation": 10**6}


PRESETS: dict[str, Callable[[], dict[str, Any]]] = {
    "eiger2": _eiger2,
    "eiger2_8bit": _eiger2_8bit,
    "pilatus3": _pilatus3,
    "jungfrau": _jungfrau,
    "lambda": _lambda,
    "medipix3": _medipix3,
    "merlin_em": _merlin_em,
    "timepix4": _timepix4,
    "empad": _empad,
}
"""Each function gives keys of the table ``[detector]``, and says where its numbers are from."""


PIXELS: dict[str, float] = {
    "eiger2": 75e-6,
    "eiger2_8bit": 75e-6,
    "pilatus3": 172e-6,
    "jungfrau": 75e-6,
    "lambda": 55e-6,
    "medipix3": 55e-6,
    "timepix4": 55e-6,
}
"""Side of a pixel in metres, where a source has it."""


def preset(
    *,
    preset: Annotated[
        Preset | None,
        Key("a detector that can be bought, whose values fill the keys that are not given"),
    ] = None,
) -> dict[str, Any]:
    """Values of a detector that can be bought, by key of the table ``[detector]``.

    Parameters
    ----------
    preset : str, optional
        One of `PRESETS`.

    Returns
    -------
    dict
        Empty without a preset.

    Examples
    --------
    >>> preset(preset="eiger2_8bit")["saturation"]
    255
    """
    return {} if preset is None else PRESETS[preset]()
