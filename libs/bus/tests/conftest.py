"""Lets the transports' test modules import the contract suite that lies beside them."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.register_assert_rewrite("bus_contract")
