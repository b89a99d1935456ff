"""``python -m ptycho_fast.simulate``: a data set from one command.

``ptycho_fast.simulate(...)`` is the same as a function, also after this module was imported.
"""

import sys
import types
from typing import Any

from ptycho_fast.command import main

if __name__ == "__main__":
    sys.exit(main())


class _CallableModule(types.ModuleType):
    """The import system binds this module over the function of the same name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from ptycho_fast.simulator import simulate

        return simulate(*args, **options)


sys.modules[__name__].__class__ = _CallableModule
