"""The command line: `jaxwalk` walks the worked example, `jaxwalk walk FILE.py --data FILE.npz` your model."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from ._errors import DataError, JaxwalkError
from ._files import describe, read_csv, read_model, read_npz
from ._show import as_json, survey_data, survey_tables, walkthrough_data, walkthrough_tables
from ._survey import survey
from ._terminal import show
from ._textbook import exact_data, exact_tables, formula_tables
from ._walkthrough import COLUMNS, PATIENTS, Cohort, walk_through


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status: 0, or 2 where something given does not fit."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is _walk and options.csv is not None:
        parser.error("--csv is for the worked example; `walk` takes its data by --data")
    if options.run is _walk and options.exact:
        parser.error("--exact is for the worked example; for a function of your own there is `jaxwalk.exact`")
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
        return 130
    return 0


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
    model.set_defaults(run=_walk)
    model.add_argument(
        "file", type=Path, metavar="FILE.py", help="defines objective(params, x, y), of one datum, and params"
    )
    model.add_argument(
        "--data", type=Path, required=True, metavar="FILE.npz", help="holds the arrays x and y, a row per datum"
    )
    model.add_argument(
        "--top", type=_positive, default=10, metavar="K", help="how many data of largest loss (default 10)"
    )
    # Suppressed: else its default would undo a `--json` before the command.
    model.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print data instead of tables")
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


def _walk(options: argparse.Namespace) -> None:
    data = read_npz(options.data)
    with contextlib.redirect_stdout(sys.stderr):  # what the user's file prints is not among our results
        model = read_model(options.file)
        try:
            surveyed = survey(model.objective, model.params, data.x, data.y)
        except JaxwalkError as error:
            raise DataError(f"`objective` of `{options.file}`, of one datum: {error}") from error
        except Exception as error:
            why = describe(error, options.file)
            raise DataError(f"`objective` of `{options.file}` fails on the first datum: {why}.") from error
    if options.json:
        print(as_json(survey_data(surveyed, options.top, data.unused)))
    else:
        show(survey_tables(surveyed, options.top, data.unused))


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
