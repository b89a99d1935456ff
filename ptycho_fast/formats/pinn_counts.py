"""The NPZ of the PtychoPINN family, profile ``pinn-counts``: photon counts.

``diff3d`` holds uint16 or uint32 counts, and ``probeGuess`` the physical probe, whose energy is the
photons of a pattern in vacuum. The probe in units of the intensity before dose is ``probe_modes``,
which other programs do not look for. The rest is as in `pinn_npz`.
"""

from functools import partial

from ptycho_fast.formats import pinn_npz

PROFILE = "pinn-counts"
DOMAINS = ("count_intensity",)
DTYPES = pinn_npz.PROFILES[PROFILE].dtypes
OPTIONS = pinn_npz.OPTIONS
READ_OPTIONS = pinn_npz.READ_OPTIONS

check = partial(pinn_npz.check, profile=PROFILE)
file_size = partial(pinn_npz.file_size, profile=PROFILE)
write = partial(pinn_npz.write, profile=PROFILE)
read = pinn_npz.read
recognises = partial(pinn_npz.recognises, profile=PROFILE)
