"""Makes the test vectors anew: `python spec/vectors/make.py` writes every file of FILES beside itself.

The tests make them again in memory and compare, so nothing here may depend on a time, a chance or a machine.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

HERE: Final = Path(__file__).parent
#: This folder's generators as a package: the name is ours alone, and nothing of it is installed.
PACKAGE: Final = "troth_vectors"
#: file -> (module, function).
FILES: Final = {
    "encoding.json": ("encoding", "encoding"),
    "framing.json": ("encoding", "framing"),
    "merkle.json": ("trees", "merkle"),
    "signatures.json": ("identity", "signatures"),
    "genesis.json": ("genesis", "genesis"),
    "entries.json": ("entries", "entries"),
    "ops.json": ("judging", "ops"),
    "votes.json": ("votes", "votes"),
    "certificates.json": ("votes", "certificates"),
    "evidence.json": ("evidence", "evidence"),
    "agreement.json": ("agreement", "agreement"),
    "closes.json": ("closes", "closes"),
    "seals.json": ("seals", "seals"),
    "prior.json": ("insight", "prior"),
    "score.json": ("score", "score"),
    "shares.json": ("shares", "shares"),
    "flow.json": ("insight", "flow_file"),
    "oracle.json": ("oracle", "oracle"),
    "contributions.json": ("contributions", "contributions"),
    "auctions.json": ("auctions", "auctions"),
    "sponsored.json": ("sponsored", "sponsored"),
    "trades.json": ("trades", "trades"),
    "exchange.json": ("sales", "exchange"),
    "documents.json": ("documents", "documents"),
    "cards.json": ("cards", "cards"),
    "messages.json": ("messages", "messages"),
}


def load(name: str) -> ModuleType:
    """One generator."""
    if PACKAGE not in sys.modules:
        folder = HERE / "gen"
        spec = importlib.util.spec_from_file_location(
            PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None:
            raise ImportError(PACKAGE)
        package = importlib.util.module_from_spec(spec)
        sys.modules[PACKAGE] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"{PACKAGE}.{name}")


def render(file: str) -> str:
    """The text of one file."""
    module, function = FILES[file]
    text: str = load("common").text(getattr(load(module), function)())
    return text


def main() -> None:
    """Write the files that differ."""
    for name in changed():
        (HERE / name).write_text(render(name), encoding="utf-8")
        print(f"wrote {name}")
    print(f"{len(FILES)} files are as the code makes them")


def changed() -> Iterator[str]:
    """The files that are not what the code makes."""
    for name in FILES:
        path = HERE / name
        if not path.exists() or path.read_text(encoding="utf-8") != render(name):
            yield name


if __name__ == "__main__":
    main()
