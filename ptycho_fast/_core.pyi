from typing import Any

import numpy.typing as npt

def build_facts() -> dict[str, Any]: ...
def instruction_sets() -> list[str]: ...
def axis_tables(n: int) -> dict[str, npt.NDArray[Any]]: ...
def extract_patches(
    obj: npt.NDArray[Any],
    positions: npt.NDArray[Any],
    out: npt.NDArray[Any],
    threads: int,
    isa: str = "",
) -> None: ...
def diffract(
    obj: npt.NDArray[Any],
    probe: npt.NDArray[Any],
    positions: npt.NDArray[Any],
    out: npt.NDArray[Any],
    threads: int,
    isa: str = "",
) -> None: ...
def sample_photons(
    expected: npt.NDArray[Any],
    seed: int,
    first_index: int,
    out: npt.NDArray[Any],
    threads: int,
    isa: str = "",
) -> None: ...
def observe(
    obj: npt.NDArray[Any],
    probe: npt.NDArray[Any],
    positions: npt.NDArray[Any],
    scale: float,
    seed: int,
    first_index: int,
    out: npt.NDArray[Any],
    threads: int,
    isa: str = "",
) -> None: ...
