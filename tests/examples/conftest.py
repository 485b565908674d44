"""The examples are files, not a package: tests load them by path, as the node does."""

import importlib
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from troth_node.swarm.scenario import load_scenario, make_plan

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "examples" / "scenarios" / "flights.toml"


def load(path, name):
    """One example file as a module."""
    spec = spec_from_file_location(name, ROOT / path)
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def economy_module():
    return load("examples/economy.py", "example_economy")


@pytest.fixture(scope="session")
def table_module():
    folder = str(ROOT / "examples" / "agents")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module("flights_table")


@pytest.fixture(scope="session")
def plan():
    """The default swarm, all of its 308 questions."""
    return make_plan(load_scenario(SCENARIO), ROOT, None, 38, None)


@pytest.fixture(scope="session")
def forecasts_script(table_module):
    return load("examples/flights_forecasts.py", "example_flights_forecasts")
