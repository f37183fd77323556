"""Cells of CSV files that a spreadsheet would execute are text."""

import pytest

from jaxsim.view.text.cells import cell


@pytest.mark.parametrize("formula", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1"])
def test_formulas_are_text(formula):
    assert cell(formula) == f"'{formula}"


@pytest.mark.parametrize("value", ["-1.5", "+3", "llama", "", -1.5, None])
def test_numbers_and_names_stay(value):
    assert cell(value) == value
