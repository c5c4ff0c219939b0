"""`python -m homing.cli`: the same as the console script `homing`."""

from homing.cli import main

if __name__ == "__main__":
    main()
