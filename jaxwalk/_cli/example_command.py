"""The command `jaxwalk`: the worked example, as tables, in fractions or as data."""

from __future__ import annotations

import argparse
import itertools

from .._show.json_text import as_json
from .._show.terminal import show
from .example.exact import exact_data, exact_tables, formula_tables
from .example.patients import cohort_of
from .example.tables import walkthrough_data, walkthrough_tables
from .example.walkthrough import Walkthrough, walk_through
from .pages import example_record, write_page


def run(options: argparse.Namespace) -> None:
    """Walk through the patients, and print what was found.

    Raises:
        JaxwalkError: something given does not fit.
    """
    cohort = cohort_of(options.csv)
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
