"""The commands: `homing …`. Each does its heavy importing when it runs, so that starting stays quick.

They ask the API, of a gateway or in this process (`sources`), and may import everything. Begin with `root`, then
`directory/contacts`.
"""


def main() -> None:
    """The console script."""
    import sys

    try:
        from homing.cli.root import run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
