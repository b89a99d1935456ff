"""``python -m ptycho_fast COMMAND``, the same as ``ptycho-fast COMMAND``."""

import sys

from ptycho_fast.commands import main

if __name__ == "__main__":
    sys.exit(main())
