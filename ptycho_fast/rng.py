"""Counter-based random numbers: Philox4x32-10 and uniform numbers made from it.

Every number is a pure function of ``(seed, stream, index)``. Results therefore do not depend on
batch size, order or threads.

Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as
1, 2, 3", SC 2011.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast import checks

STREAMS = {
    "photons": 0,
    "groups": 1,
    "members": 2,
    "order": 3,
    "symmetry": 4,
    "scan": 5,
    "scan_jitter": 6,
    "scan_drift": 7,
    "object": 8,
    "object_drawings": 9,
    "object_window": 10,
    "pattern_order": 11,
    "probe_shapes": 16,
    "probe_weights": 17,
    "probe_intensity": 18,
    "probe_aberrations": 19,
    "detector_counts": 32,
    "detector_dark_counts": 33,
    "detector_readout_noise": 34,
    "detector_defects": 35,
    "detector_readout_tails": 36,
    "campaign": 64,
    "ladder": 80,
}

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_KEY_STEPS = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox4x32(counter: npt.ArrayLike, key: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Philox4x32 with ten rounds (Salmon et al. 2011).

    Parameters
    ----------
    counter : (..., 4) integers below 2**32
        The number of the block.
    key : (2,) integers below 2**32
        The seed, low word first.

    Returns
    -------
    (..., 4) uint32
        Four random words for each counter.

    Examples
    --------
    The first known answer of the authors' library, Random123:

    >>> print(*(f"{word:08x}" for word in philox4x32([0, 0, 0, 0], [0, 0])))
    6627e8d5 e169c58d bc57ac4c 9b00dbd8
    """
    c0, c1, c2, c3 = np.moveaxis(np.asarray(counter, dtype=np.uint64), -1, 0)
    key0, key1 = (int(k) for k in np.asarray(key, dtype=np.uint64))
    for _ in range(10):
        product0, product1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0 = (product1 >> _HALF) ^ c1 ^ np.uint64(key0)
        c2 = (product0 >> _HALF) ^ c3 ^ np.uint64(key1)
        c1, c3 = product1 & _LOW, product0 & _LOW
        key0 = (key0 + _KEY_STEPS[0]) & 0xFFFFFFFF
        key1 = (key1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def _key(seed: int) -> tuple[int, int]:
    """The two words of a seed, low word first."""
    seed = checks.seed(seed)
    return seed & 0xFFFFFFFF, seed >> 32


def _open_unit(
    low: npt.NDArray[np.uint32], high: npt.NDArray[np.uint32]
) -> npt.NDArray[np.float64]:
    """(x + 1/2) 2^-52, x the upper 52 of the 64 bits ``low + 2^32 high``; exact, in (0, 1)."""
    bits = low.astype(np.uint64) | (high.astype(np.uint64) << _HALF)
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def words(seed: int, stream: str, index: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint32]:
    """Random words, four for each index.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    stream : str
        A key of `STREAMS` other than ``"photons"``, which has its own layout (`photon_uniforms`).
    index : (...) integers
        0 to 2**64 - 1.

    Returns
    -------
    (..., 4) uint32
        A pure function of the arguments: the block of counter ``(0, stream, index)``.

    Raises
    ------
    TypeError, ValueError
        `seed` or `stream` is not as above.

    Examples
    --------
    >>> words(1, "groups", np.arange(5)).shape
    (5, 4)
    """
    checks.choice(stream, "stream", [name for name in STREAMS if name != "photons"])
    wide = np.asarray(index).astype(np.uint64)
    counter = np.zeros((*wide.shape, 4), dtype=np.uint64)
    counter[..., 1] = STREAMS[stream]
    counter[..., 2] = wide & _LOW
    counter[..., 3] = wide >> _HALF
    return philox4x32(counter, _key(seed))


def uniforms(
    seed: int, stream: str, index: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.float64]:
    """Uniform numbers in (0, 1), one for each index.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    stream : str
        As for `words`.
    index : (...) integers
        0 to 2**64 - 1.

    Returns
    -------
    (...) float64
        A pure function of the arguments, made of words 0 and 1 of `words`.

    Raises
    ------
    TypeError, ValueError
        `seed` or `stream` is not as above.

    Examples
    --------
    A number depends on its own index only, not on the numbers beside it:

    >>> bool(uniforms(1, "groups", np.arange(5))[3] == uniforms(1, "groups", np.array(3)))
    True
    """
    block = words(seed, stream, index)
    return _open_unit(block[..., 0], block[..., 1])


def photon_uniforms(seed: int, pattern: int, n_pixels: int) -> npt.NDArray[np.float64]:
    """The uniform numbers that decide the photon counts of one pattern.

    Pixel ``p`` takes words ``2h, 2h + 1``, ``h = (p // 16) % 2``, of counter
    ``((p // 32) * 16 + p % 16, STREAMS["photons"], pattern)``: 16 blocks in a row serve 32 pixels.

    Parameters
    ----------
    seed, pattern : int
        0 to 2**64 - 1.
    n_pixels : int
        Number of pixels.

    Returns
    -------
    (n_pixels,) float64
        In (0, 1), by flat pixel index.

    Raises
    ------
    TypeError, ValueError
        `seed` is not as above.

    Examples
    --------
    Fewer pixels are the first ones of more pixels:

    >>> bool((photon_uniforms(7, 3, 100)[:10] == photon_uniforms(7, 3, 10)).all())
    True
    """
    n_blocks = -(-n_pixels // 32) * 16
    counter = np.empty((n_blocks, 4), dtype=np.uint64)
    counter[:, 0] = np.arange(n_blocks)
    counter[:, 1:] = STREAMS["photons"], pattern & 0xFFFFFFFF, pattern >> 32
    words = philox4x32(counter, _key(seed)).reshape(-1, 16, 2, 2)  # 32 pixels, block, half, word
    in_pixel_order = words.transpose(0, 2, 1, 3).reshape(-1, 2)[:n_pixels]
    return _open_unit(in_pixel_order[:, 0], in_pixel_order[:, 1])


def pixel_words(seed: int, stream: str, pattern: int, n_pixels: int) -> npt.NDArray[np.uint32]:
    """Random words of 32 bits, one for each pixel of a pattern, for the parts of a detector.

    Pixel ``p`` takes word ``(p // 16) % 4`` of counter ``((p // 64) * 16 + p % 16, STREAMS[stream],
    pattern)``: 16 blocks in a row serve 64 pixels.

    Parameters
    ----------
    seed, pattern : int
        0 to 2**64 - 1.
    stream : str
        A key of `STREAMS` that begins with ``"detector"``.
    n_pixels : int
        Number of pixels.

    Returns
    -------
    (n_pixels,) uint32
        By flat pixel index.

    Raises
    ------
    TypeError, ValueError
        `seed` or `stream` is not as above.

    Examples
    --------
    >>> words = pixel_words(7, "detector_readout_noise", 3, 100)
    >>> bool((words[:10] == pixel_words(7, "detector_readout_noise", 3, 10)).all())
    True
    """
    checks.choice(stream, "stream", [name for name in STREAMS if name.startswith("detector")])
    n_blocks = -(-n_pixels // 64) * 16
    counter = np.empty((n_blocks, 4), dtype=np.uint64)
    counter[:, 0] = np.arange(n_blocks)
    counter[:, 1:] = STREAMS[stream], pattern & 0xFFFFFFFF, pattern >> 32
    words = philox4x32(counter, _key(seed)).reshape(-1, 16, 4)  # 64 pixels, block, word
    return words.transpose(0, 2, 1).reshape(-1)[:n_pixels]


def pixel_halves(seed: int, stream: str, pattern: int, n_pixels: int) -> npt.NDArray[np.uint32]:
    """Random numbers of 16 bits, one for each pixel of a pattern: halves of `pixel_words`.

    Of 128 pixels in a row the first 64 take the lower halves of 64 words, the others the upper
    halves.

    Parameters
    ----------
    seed, stream, pattern, n_pixels
        As for `pixel_words`.

    Returns
    -------
    (n_pixels,) uint32
        Numbers from 0 to 65535, by flat pixel index.

    Raises
    ------
    TypeError, ValueError
        `seed` or `stream` is not as above.

    Examples
    --------
    >>> words = pixel_words(7, "detector_readout_noise", 3, 64)
    >>> halves = pixel_halves(7, "detector_readout_noise", 3, 128)
    >>> bool((halves[:64] == words & 0xFFFF).all() and (halves[64:] == words >> 16).all())
    True
    """
    words = pixel_words(seed, stream, pattern, -(-n_pixels // 128) * 64).reshape(-1, 1, 64)
    return np.concatenate([words & 0xFFFF, words >> 16], axis=1).reshape(-1)[:n_pixels]


def legacy_generator(seed: int) -> np.random.RandomState:
    """NumPy's legacy generator, from which the published objects and scans were drawn.

    Parameters
    ----------
    seed : int
        0 to 2**32 - 1.

    Returns
    -------
    numpy.random.RandomState
        A fresh generator.

    Raises
    ------
    TypeError, ValueError
        The seed is not an integer, or out of range.

    Examples
    --------
    >>> float(legacy_generator(42).uniform())
    0.3745401188473625
    """
    return np.random.RandomState(checks.integer(seed, "seed", 0, 2**32 - 1))


def generator(seed: int, stream: str) -> np.random.Generator:
    """A generator for draws in one order, such as the points of a scan.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    stream : str
        A key of `STREAMS`; each has its own numbers.

    Returns
    -------
    numpy.random.Generator
        A fresh one, of NumPy's Philox with the key ``[seed, STREAMS[stream]]``.

    Raises
    ------
    TypeError, ValueError
        `seed` or `stream` is not as above.

    Examples
    --------
    >>> a, b = generator(42, "scan").random(2), generator(42, "scan_jitter").random(2)
    >>> bool((a == b).any())
    False
    """
    checks.choice(stream, "stream", STREAMS)
    key = np.array([checks.seed(seed), STREAMS[stream]], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
