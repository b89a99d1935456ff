from typing import Any

import numpy.typing as npt

def build_facts() -> dict[str, Any]: ...
def instruction_sets() -> list[str]: ...
def axis_tables(n: int) -> dict[str, npt.NDArray[Any]]: ...
def launch_shapes() -> dict[str, Any]: ...
def patches(
    object: npt.NDArray[Any],
    positions: npt.NDArray[Any],
    boundary: str,
    out: npt.NDArray[Any],
    threads: int,
    isa: str = "",
) -> None: ...
def frames(exposure: Any, counting: Any, sink: Any, threads: int, isa: str = "") -> None: ...
def photons(
    rates: npt.NDArray[Any],
    counting: Any,
    sink: Any,
    threads: int,
    isa: str = "",
) -> None: ...
