"""The NPZ of the PtychoPINN family, profile ``pinn-raw``: counts for its conversion tools.

``diffraction`` holds uint16 counts; nothing is said of a scale contract. A count above 65535 is an
error. The rest is as in `pinn_npz`.
"""

from functools import partial

from ptycho_fast.formats import pinn_npz

PROFILE = "pinn-raw"
DOMAINS = ("count_intensity",)
DTYPES = pinn_npz.PROFILES[PROFILE].dtypes
OPTIONS = pinn_npz.OPTIONS - {"alias"}
READ_OPTIONS = pinn_npz.READ_OPTIONS

check = partial(pinn_npz.check, profile=PROFILE)
file_size = partial(pinn_npz.file_size, profile=PROFILE)
write = partial(pinn_npz.write, profile=PROFILE)
read = pinn_npz.read
recognises = partial(pinn_npz.recognises, profile=PROFILE)
