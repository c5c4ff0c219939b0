"""What the engine of the real WhatsApp needs, installed beside Homing and not shipped with it.

Baileys is MIT, but needs `libsignal`, which is GPL-3.0. Whoever wants it fetches it, by the lock file here, which names
the exact bytes and no registry.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from homing.instance.engines.registry import EngineUnusable

WANTED = Path(__file__).with_name("package")
FILES = ("package.json", "package-lock.json")
NODE_MIN = 20
INSTALL = "`homing engine install` fetches it"
INSTALL_WITHIN_S = 900
LICENCES = "Baileys is MIT; it needs libsignal, which is GPL-3.0, and is therefore fetched by you and not shipped"
_DONE = "installed"


@dataclass(frozen=True, slots=True)
class Installed:
    """What the engine runs with: Node, Baileys' folder, and their versions."""

    node: str
    node_version: str
    package: Path
    version: str


def found(node: str, folder: Path) -> Installed:
    """What is there. Raises EngineUnusable with what is missing, and what to do."""
    path, version = runtime_of(node)
    at = folder / "baileys"
    package = at / "node_modules" / "baileys"
    if not at.exists():
        raise EngineUnusable(f"The engine baileys is not installed in {folder}; {INSTALL}")
    if not (at / _DONE).exists() or not (package / "lib" / "index.js").exists():
        raise EngineUnusable(f"The installation of the engine baileys in {folder} is not complete; {INSTALL} anew")
    if (at / _DONE).read_text().strip() != wanted():
        raise EngineUnusable(f"The engine baileys in {folder} is of another release of Homing; {INSTALL} anew")
    told = json.loads((package / "package.json").read_text())
    return Installed(path, version, package, told["version"])


def install(node: str, folder: Path, *, npm: str = "npm") -> Installed:
    """Fetch what the lock file names, in a folder of its own that takes the place of what was there once it is whole.

    Raises EngineUnusable with one sentence.
    """
    runtime_of(node)
    runner = shutil.which(npm)
    if runner is None:
        raise EngineUnusable("npm is not there, which fetches the engine: install it; it comes with Node")
    fresh, at = folder / "baileys.new", folder / "baileys"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name in FILES:
        shutil.copy(WANTED / name, fresh / name)
    _fetched(runner, fresh)
    (fresh / _DONE).write_text(wanted())
    shutil.rmtree(at, ignore_errors=True)
    fresh.rename(at)
    return found(node, folder)


def wanted() -> str:
    """Which lock file this release has."""
    return sha256(b"".join((WANTED / name).read_bytes() for name in FILES)).hexdigest()


def runtime_of(node: str) -> tuple[str, str]:
    """Node's path and version. Raises EngineUnusable."""
    path = shutil.which(node)
    if path is None:
        raise EngineUnusable(f"Node is not there: install Node {NODE_MIN} or newer, or name it in HOMING_NODE")
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineUnusable(f"{path} does not say which Node it is ({error}); name another in HOMING_NODE") from error
    version = asked.stdout.strip()
    major = version.removeprefix("v").partition(".")[0]
    if not major.isdecimal() or int(major) < NODE_MIN:
        raise EngineUnusable(
            f"{path} is {version or 'no Node'}; the engine needs Node {NODE_MIN} or newer: install that, or name it in"
            " HOMING_NODE"
        )
    return path, version


def _fetched(npm: str, folder: Path) -> None:
    command = [npm, "ci", "--ignore-scripts", "--omit=peer", "--omit=optional", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_WITHIN_S, check=False, env=os.environ
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineUnusable(f"npm could not fetch the engine: {error}; try again") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        said = next((line for line in lines if "code" in line.lower()), lines[0] if lines else "it said nothing")
        raise EngineUnusable(
            f"npm could not fetch the engine ({said.strip()}); is its registry reachable? What was there before stays"
        )
