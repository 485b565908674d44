"""The kit that reads test vectors, for every test that does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def load(name: str, path: Path) -> None:
    """A file as a module that tests can import by this name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


HERE = Path(__file__).parent
load("vector_kit", HERE / "vector_kit.py")
load("close_kit", HERE / "close_kit.py")
load("ed25519_reference", HERE.parent / "protocol" / "wire" / "ed25519_reference.py")
