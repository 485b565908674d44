"""The wheel holds the two packages and nothing else, and works where nothing else of the project is."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = {"troth_protocol", "troth_node"}

# Run in the empty environment: each module comes from the wheel, and the protocol needs only its three libraries.
IMPORT_ALL = """
import importlib, pathlib, pkgutil, sys
import troth_protocol
sys.path.append(sys.argv[1])
names = [module.name for module in pkgutil.walk_packages(troth_protocol.__path__, "troth_protocol.")]
for name in names:
    file = pathlib.Path(importlib.import_module(name).__file__)
    assert file.is_relative_to(sys.prefix), file
print(f"{len(names)} modules of troth_protocol imported from the wheel")
"""


def pip(*arguments: str | Path) -> None:
    """Run this environment's pip; subprocess.CalledProcessError if it fails."""
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


def build(into: Path) -> Path:
    """Build the wheel with the build tools that are installed; the newest one there is ours."""
    for old in into.glob("*.whl"):
        old.unlink()
    pip("wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", into, ROOT)
    (wheel,) = into.glob("*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    """List what is in the wheel; exit with a line that names what should not be there, or is not."""
    names = sorted(zipfile.ZipFile(wheel).namelist())
    print("\n".join(f"  {name}" for name in names))
    top = {name.split("/")[0] for name in names}
    others = {name for name in top if not name.endswith(".dist-info")} ^ PACKAGES
    if others:
        sys.exit(f"{wheel.name}: {', '.join(sorted(others))} should not be there, or is missing")
    missing = [f"{package}/py.typed" for package in sorted(PACKAGES) if f"{package}/py.typed" not in names]
    if missing:
        sys.exit(f"{wheel.name}: {', '.join(missing)} is missing")
    print(f"{wheel.name}: {len(names)} files")


def check_install(wheel: Path, into: Path) -> None:
    """Install it by itself, from no index, and import the protocol: first bare, then with its libraries in reach."""
    venv.create(into, clear=True, with_pip=False)
    python = into / "bin" / "python"
    pip("--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    subprocess.run([python, "-I", "-c", "import troth_protocol"], check=True)
    subprocess.run([python, "-I", "-c", IMPORT_ALL, sysconfig.get_path("purelib")], check=True)


def main() -> None:
    """Build, look inside, install, import."""
    into = ROOT / "build" / "wheel"
    into.mkdir(parents=True, exist_ok=True)
    wheel = build(into)
    check_contents(wheel)
    check_install(wheel, into / "venv")


if __name__ == "__main__":
    main()
