"""`python -m homing.lab.chaos.ground.gateway FILE`: a gateway that dies where the file says; for trials only.

It is the gateway of `homing serve`, with its settings. When a move reaches the milestone that the file names, the file
is removed and the process kills itself.
"""

import sys
from pathlib import Path

DIE_AT = "die-at"
"""The file, in the folder of the trial's fleet."""


def main() -> None:
    from homing.compose.process import serve_until_stopped
    from homing.config import load
    from homing.world import dying_at

    serve_until_stopped(load(), reached=dying_at(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
