"""Arrays for TensorFlow, PyTorch and JAX, by DLPack: without a copy where that is safe.

NumPy and CuPy arrays support DLPack themselves, and so do the arrays of a `Dataset` and those that
the stages return. PyTorch and JAX take them directly: ``torch.from_dlpack(array)``,
``jax.dlpack.from_dlpack(array)``. TensorFlow takes only DLPack capsules, does not say on which CUDA
stream it reads, and aborts the process if memory is not aligned to 64 bytes; `tensorflow_capsule`
takes care of all three: ``tf.experimental.dlpack.from_dlpack(tensorflow_capsule(array))``.
"""

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from ptycho_fast.backend import choose, gpu_arrays
from ptycho_fast.backend.host_arrays import ALIGNMENT, empty_aligned

_log = logging.getLogger(__name__)


def tensorflow_capsule(array: Any) -> Any:
    """DLPack capsule for TensorFlow, which turns it into a tensor once, in eager code.

    The tensor shares the array's memory where that is safe, and keeps it alive; do not write to the
    array while the tensor is in use. For an array on a GPU the function waits until its work is
    done, because TensorFlow reads on its own streams.

    Parameters
    ----------
    array : NumPy or CuPy array
        Integers, real or complex numbers of any shape. Memory that is not C-contiguous, not aligned
        to 64 bytes, or read-only is copied, and a message on the logger ``ptycho_fast.handover``
        says so.

    Returns
    -------
    DLPack capsule
        To be used once.

    Raises
    ------
    TypeError
        The array is of another kind, or its numbers are not in the machine's byte order.

    Examples
    --------
    >>> import numpy as np
    >>> type(tensorflow_capsule(np.ones((2, 3), np.float32))).__name__
    'PyCapsule'
    """
    if not isinstance(array, np.ndarray) and not gpu_arrays.any_on_gpu(array):
        raise TypeError(f"array: {type(array).__name__} given, expected a NumPy or CuPy array")
    if array.dtype.kind not in "fciu" or not array.dtype.isnative:
        raise TypeError(f"array: dtype {array.dtype} given, expected native numbers")
    if reason := why_copy(array):
        _log.info("an array of %.1f MB is copied for TensorFlow: %s", array.nbytes / 1e6, reason)
        array = gpu_arrays.copied(array) if gpu_arrays.any_on_gpu(array) else _copied(array)
    if gpu_arrays.any_on_gpu(array):
        gpu_arrays.wait_for(array)
    return array.__dlpack__()


def why_copy(array: Any) -> str:
    """Why TensorFlow cannot share the array's memory; empty where it can."""
    if not array.flags.c_contiguous:
        return "its memory is not C-contiguous"
    address = array.data.ptr if gpu_arrays.any_on_gpu(array) else array.ctypes.data
    if address % ALIGNMENT:
        return f"its memory starts {address % ALIGNMENT} bytes after a multiple of {ALIGNMENT}"
    if not gpu_arrays.any_on_gpu(array) and not array.flags.writeable:
        return "it is read-only"
    return ""


def _copied(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    copy = empty_aligned(array.shape, array.dtype)
    copy[...] = array
    return copy


def to_gpu(array: npt.NDArray[Any]) -> Any:
    """Copy a NumPy array to CuPy's current GPU.

    Parameters
    ----------
    array : ndarray
        Numbers of any shape.

    Returns
    -------
    cupy.ndarray
        The copy.

    Raises
    ------
    RuntimeError
        The backend "cuda" is not available.
    """
    _, backend = choose("cuda", on_gpu=True)
    return backend.resident(array)
