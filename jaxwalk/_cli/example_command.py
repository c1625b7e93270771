"""The command `jaxwalk`: the worked example, as tables, in fractions or as data."""

from __future__ import annotations

import argparse
import itertools

from .._show.json_text import as_json
from .._show.terminal import show
from .example import PATIENTS, Cohort, Walkthrough, walk_through
from .example_exact import exact_data, exact_tables, formula_tables
from .example_patients import read_csv
from .example_tables import walkthrough_data, walkthrough_tables
from .options import COLUMNS
from .pages import example_record, write_page


def run(options: argparse.Namespace) -> None:
    """Walk through the patients, and print what was found.

    Raises:
        JaxwalkError: something given does not fit.
    """
    cohort = PATIENTS
    if options.csv is not None:
        table = read_csv(options.csv, COLUMNS)
        cohort = Cohort(table[:, :-1], table[:, -1])
    if options.exact and options.json:
        print(as_json(exact_data(cohort)))
    elif options.exact:
        show(exact_tables(cohort))
    else:
        _show(options, walk_through(cohort))


def _show(options: argparse.Namespace, walked: Walkthrough) -> None:
    if options.json:
        print(as_json(walkthrough_data(walked)))
    else:
        show(itertools.chain(formula_tables(), walkthrough_tables(walked)))
    if options.report is not None:
        said = write_page(example_record(walked), options)
        if not options.json:
            show([said])
