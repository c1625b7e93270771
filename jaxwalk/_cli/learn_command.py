"""The command `jaxwalk learn`: the worked example's learning phase, as tables, in fractions or as data."""

from __future__ import annotations

import argparse

from .._show.json_text import as_json
from .._show.terminal import show
from .example.learning import FLOATS, FRACTIONS, RATES
from .example.learning_tables import learning_data, learning_tables
from .example.patients import cohort_of


def run(options: argparse.Namespace) -> None:
    """Teach the patients' model, and print what became of it.

    Raises:
        JaxwalkError: something given does not fit.
    """
    cohort = cohort_of(options.csv)
    arithmetic = FRACTIONS if options.exact else FLOATS
    rates = tuple(options.rate or RATES)
    if options.json:
        print(as_json(learning_data(cohort, arithmetic, rates)))
    else:
        show(learning_tables(cohort, arithmetic, rates))
