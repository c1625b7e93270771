"""The command line: `jaxwalk` walks the worked example, `jaxwalk walk FILE.py --data PATH` your model."""

from __future__ import annotations

import argparse
import io
import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__, _command
from ._errors import JaxwalkError
from ._files import read_csv
from ._show import as_json, walkthrough_data, walkthrough_tables
from ._terminal import show
from ._textbook import exact_data, exact_tables, formula_tables
from ._walkthrough import COLUMNS, PATIENTS, Cohort, walk_through


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status: 0; 2 where something given does not fit; 130 where it was stopped."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if refused := _refused(options):
        parser.error(refused)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without δ shows a ? for it
            stream.reconfigure(errors="replace")
    try:
        options.run(options)
        sys.stdout.flush()
    except JaxwalkError as error:
        print(f"jaxwalk: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output, `head` say, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        if options.run is _command.run:
            print(f"jaxwalk: {_command.interrupted(options)}", file=sys.stderr)
        return 130
    return 0


def _refused(options: argparse.Namespace) -> str | None:
    """Why these options do not go together, if they do not."""
    if options.run is not _command.run:
        return None
    if options.csv is not None:
        return "--csv is for the worked example; `walk` takes its data by --data"
    if options.exact:
        return "--exact is for the worked example; for a function of your own there is `jaxwalk.exact`"
    if options.resume and options.out is None:
        return "--resume goes on with what is in --out; name its directory"
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jaxwalk",
        description="Walk through a JAX model, forward and backward. Without a command: the worked example.",
    )
    parser.set_defaults(run=_walkthrough)
    parser.add_argument("--version", action="version", version=f"jaxwalk {__version__}")
    parser.add_argument("--csv", type=Path, metavar="FILE", help=f"other patients; columns: {', '.join(COLUMNS)}")
    parser.add_argument("--exact", action="store_true", help="the worked example in fractions, nothing rounded")
    parser.add_argument("--json", action="store_true", help="print data instead of tables")
    commands = parser.add_subparsers(title="commands", metavar="")
    model = commands.add_parser(
        "walk",
        help="walk a model of your own through its data",
        description="Walks objective(params, x, y) through every datum: a line per point, then the largest losses.",
    )
    model.set_defaults(run=_command.run)
    _command.add_options(model)
    return parser


def _walkthrough(options: argparse.Namespace) -> None:
    cohort = PATIENTS
    if options.csv is not None:
        table = read_csv(options.csv, COLUMNS)
        cohort = Cohort(table[:, :-1], table[:, -1])
    if options.exact:
        _exact(cohort, options.json)
        return
    walked = walk_through(cohort)
    if options.json:
        print(as_json(walkthrough_data(walked)))
    else:
        show(itertools.chain(formula_tables(), walkthrough_tables(walked)))


def _exact(cohort: Cohort, as_data: bool) -> None:
    if as_data:
        print(as_json(exact_data(cohort)))
    else:
        show(exact_tables(cohort))


if __name__ == "__main__":
    sys.exit(main())
