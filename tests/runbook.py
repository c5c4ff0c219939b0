"""The list of alerts in docs/runbook.md, made from the guides: `python -m tests.runbook` writes it anew."""

from pathlib import Path

from homing.model.alerts import GUIDES, AlertKind

RUNBOOK = Path(__file__).parent.parent / "docs" / "runbook.md"
HEAD = "| kind | log line | means | do |\n|---|---|---|---|\n"


def rows() -> list[str]:
    """A row for each kind, in the order of the kinds."""
    guides = [(kind, GUIDES[kind]) for kind in AlertKind]
    return [f"| `{kind.value}` | {guide.title} | {guide.means} | {guide.do} |\n" for kind, guide in guides]


def parted(text: str) -> tuple[str, list[str], str]:
    """What stands before the rows, the rows, and what follows."""
    before, found, rest = text.partition(HEAD)
    assert found, f"docs/runbook.md has no table that begins with {HEAD!r}"
    listed, _, after = rest.partition("\n\n")
    return before + found, [f"{row}\n" for row in listed.splitlines()], "\n" + after


def main() -> None:
    before, _, after = parted(RUNBOOK.read_text())
    RUNBOOK.write_text("".join([before, *rows(), after]))


if __name__ == "__main__":
    main()
