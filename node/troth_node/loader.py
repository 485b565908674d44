"""Agents are loaded by path, `examples/agents/weather.py:Weather`, so that one file is enough to write one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from troth_node.agent import Agent


class AgentError(Exception):
    """An agent that cannot be loaded; one line that says why."""


def load_agent(reference: str, root: Path) -> type[Agent]:
    """The class that `file.py:Class` names, its path taken from `root`; AgentError says what is wrong.

    The file's folder is importable while it loads, so that agents can share modules beside them.
    """
    file_name, _, class_name = reference.partition(":")
    path = (root / file_name).resolve()
    if not class_name or path.suffix != ".py":
        raise AgentError(f"agent {reference!r}: write it as path/to/file.py:ClassName")
    if not path.is_file():
        raise AgentError(f"agent {reference!r}: there is no file {path}")
    found = getattr(_load_module(path, reference), class_name, None)
    if not isinstance(found, type) or not issubclass(found, Agent):
        raise AgentError(
            f"agent {reference!r}: {path.name} has no class {class_name} that is a troth_node.agent.Agent"
        )
    return found


def _load_module(path: Path, reference: str) -> ModuleType:
    if str(path.parent) not in sys.path:
        # At the end: an agent called noise.py must not hide an installed package of that name.
        sys.path.append(str(path.parent))
    name = f"troth_agent_{path.stem}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise AgentError(f"agent {reference!r}: {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise AgentError(f"agent {reference!r}: {path.name} fails to load: {error}") from error
    return module
