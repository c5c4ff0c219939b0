"""One parser, steered by coverage (atheris) for a while: `python -m fuzz.guided NAME --seconds N --work FOLDER`.

A process of its own, since the fuzzer ends the process that it runs in. A finding is left as a file beside the corpus.
"""

import argparse
import sys
from pathlib import Path

import atheris

INSTRUMENTED = ["homing.decide", "homing.drivers", "homing.model", "homing.serve"]
_LONGEST = 16_384
_SLOW_S = 5


def main() -> None:
    asked = _arguments()
    folder = asked.work / asked.name
    (folder / "found").mkdir(parents=True, exist_ok=True)
    (folder / "corpus").mkdir(exist_ok=True)
    with atheris.instrument_imports(include=INSTRUMENTED):
        from fuzz.parsers import parser

        it = parser(asked.name)
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in it.WORDS))
    for number, seed in enumerate(it.SEEDS):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={asked.seconds}",
        f"-seed={asked.seed}",
        f"-max_len={_LONGEST}",
        f"-timeout={_SLOW_S}",
        f"-dict={words}",
        f"-artifact_prefix={folder / 'found'}/",
        "-print_final_stats=1",
        "-rss_limit_mb=4096",
    ]
    kept = Path(__file__).parent / "corpus" / asked.name
    folders = [str(folder / "corpus"), *([str(kept)] if kept.is_dir() else [])]
    atheris.Setup([sys.argv[0], *options, *folders], it.check, enable_python_coverage=True)
    atheris.Fuzz()


def _arguments() -> argparse.Namespace:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("name")
    given.add_argument("--seconds", type=int, default=600)
    given.add_argument("--seed", type=int, default=1)
    given.add_argument("--work", type=Path, required=True)
    return given.parse_args()


def _escaped(word: bytes) -> str:
    return "".join(chr(byte) if 32 < byte < 127 and chr(byte) not in '"\\' else f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
