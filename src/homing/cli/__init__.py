"""The commands: `homing …`. Each does its heavy importing when it runs, so that starting stays quick."""


def main() -> None:
    """The console script."""
    import sys

    try:
        from homing.cli.root import run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
