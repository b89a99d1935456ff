"""Batches from a worker to the main process through memory that is used again and again.

PyTorch makes a new piece of shared memory for every tensor that a worker sends. Making it, passing
on its file descriptor, and the page faults of first use on both sides take longer than simulating
the patterns in it. Here a worker keeps some pieces, called slots. The main process maps each of
them once, and gives it back, by a flag in it, when the tensors of its batch are no longer used.
"""

import ctypes
import itertools
import math
import multiprocessing
import os
import weakref
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from ptycho_fast.backend.host_arrays import ALIGNMENT

_MOST = 32  # slots of a worker; a batch beyond them is sent as PyTorch does it
_HEAD = ALIGNMENT  # bytes before the data; the first one says whether the slot is in use

Key = tuple[int, int]  # process that made the slot, and its number there
Place = tuple[int, torch.dtype, tuple[int, ...]]  # offset, type and shape of a tensor in a slot

_mapped: dict[Key, torch.Tensor] = {}
"""The slots of this process's workers, as PyTorch itself keeps what is shared."""


class Slots:
    """The slots of one worker."""

    def __init__(self) -> None:
        self._slots: list[_Slot] = []

    def batch(self, size: int) -> "SlotBatch | None":
        """An empty batch with room for so many bytes; None if all slots are in use."""
        slot = self._free(size)
        return None if slot is None else SlotBatch(slot)

    def _free(self, size: int) -> "_Slot | None":
        for slot in self._slots:
            if not slot.state[0] and len(slot.memory) >= _HEAD + size:
                return slot
        if len(self._slots) >= _MOST:
            self._slots = [slot for slot in self._slots if slot.state[0]]  # too small ones
        if len(self._slots) >= _MOST:
            return None
        self._slots.append(_Slot(_HEAD + size))
        return self._slots[-1]


class _Slot:
    """A piece of shared memory."""

    _numbers = itertools.count()

    def __init__(self, size: int) -> None:
        self.key: Key = (os.getpid(), next(self._numbers))
        self.memory = torch.empty(size, dtype=torch.uint8)
        self.memory.share_memory_()
        self.state = self.memory.numpy()
        self.state[0] = 0
        self.is_known = False  # to the main process


class SlotBatch(dict[str, torch.Tensor]):
    """A batch in a slot. What is put in its place, or beside it, is sent as PyTorch does it."""

    def __init__(self, slot: _Slot) -> None:
        super().__init__()
        slot.state[0] = 1
        self._slot, self._end = slot, _HEAD
        self._places: dict[str, tuple[torch.Tensor, Place]] = {}

    def room(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A new entry, as the array to write to."""
        start, size = self._end, math.prod(shape) * np.dtype(dtype).itemsize
        self._end += rounded(size)
        array = self._slot.state[start : start + size].view(dtype).reshape(shape)
        tensor = self[name] = torch.from_numpy(array)
        self._places[name] = tensor, (start, tensor.dtype, shape)
        return array

    def __copy__(self) -> Self:
        other = type(self)(self._slot)
        other.update(self)
        other._places, other._end = self._places, self._end
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        slot = self._slot
        memory = None if slot.is_known else slot.memory
        slot.is_known = True
        others: dict[str, Any] = {}
        places: dict[str, Place | None] = dict.fromkeys(self)
        for name, value in self.items():
            tensor, place = self._places.get(name, (None, None))
            if tensor is value:
                places[name] = place
            else:
                others[name] = value
        return _received, (slot.key, memory, places, others)


def _received(
    key: Key, memory: torch.Tensor | None, places: dict[str, Place | None], others: dict[str, Any]
) -> dict[str, Any]:
    """The batch in the main process; the slot is free again when its tensors are no longer used."""
    if memory is not None:
        alive = {process.pid for process in multiprocessing.active_children()}
        for known in [known for known in _mapped if known[0] not in alive]:
            _mapped.pop(known, None)
        _mapped[key] = memory
    memory = _mapped[key]
    lease = (ctypes.c_char * len(memory)).from_address(memory.data_ptr())
    weakref.finalize(lease, _free, memory).atexit = False
    batch: dict[str, Any] = {}
    for name, place in places.items():
        if place is None:
            batch[name] = others[name]
        else:
            start, dtype, shape = place
            flat = torch.frombuffer(lease, dtype=dtype, count=math.prod(shape), offset=start)
            batch[name] = flat.view(shape)
    return batch


def _free(memory: torch.Tensor) -> None:
    memory.numpy()[0] = 0


def rounded(size: int) -> int:
    """Bytes that an entry of this size takes in a slot."""
    return -(-size // ALIGNMENT) * ALIGNMENT
