"""`python -m homing.demo.child PARENT MODULE …`: run a module in this very process, which ends when PARENT does.

Whatever ends the demo, a `kill -9` among it, leaves no process of it behind.
"""

import runpy
import sys

from homing.world import die_with


def main() -> None:
    parent, module, *arguments = sys.argv[1:]
    die_with(int(parent))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
