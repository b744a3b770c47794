"""Every code has a test of its own among these."""

import importlib
import pkgutil

from devenv.diagnosis.codes import book
from tests.unit.diagnosis import checks
from tests.unit.diagnosis.covers import COVERED


def test_every_code_has_a_test_of_its_own():
    for module in pkgutil.iter_modules(checks.__path__):
        importlib.import_module(f"{checks.__name__}.{module.name}")
    assert [code for code in book() if code not in COVERED] == []
    assert [code for code in COVERED if code not in book()] == []
