"""The command line: `jaxwalk` walks the worked example, `jaxwalk walk FILE.py --data PATH` your model."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from . import __version__
from ._cli import walk
from ._cli.example import COLUMNS, PATIENTS, Cohort, walk_through
from ._cli.example_exact import exact_data, exact_tables, formula_tables
from ._cli.example_tables import as_json, walkthrough_data, walkthrough_tables
from ._cli.model_file import read_csv
from ._errors import JaxwalkError
from ._show.terminal import show


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns the exit status: 0; 2 where something given does not fit; 130 where Ctrl-C stopped it, and 143 SIGTERM.
    """
    options, unknown = _parser().parse_known_args(arguments)
    if refused := _refused(options, unknown):
        options.parser.error(refused)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without δ shows a ? for it
            stream.reconfigure(errors="replace")
    try:
        with _terminable():
            options.run(options)
            sys.stdout.flush()
    except JaxwalkError as error:
        print(f"jaxwalk: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output, `head` say, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as stop:
        if options.run is walk.run:
            print(f"jaxwalk: {walk.interrupted(options)}", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)
    return 0


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as a cluster sends it before it takes the machine away: what Ctrl-C does is to be done."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there may a signal be handled
        yield
        return

    def stop(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refused(options: argparse.Namespace, unknown: Sequence[str]) -> str | None:
    """Why these options do not go together, if they do not."""
    if unknown:
        return f"unrecognized arguments: {' '.join(unknown)}"
    if options.run is not walk.run:
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
    parser.set_defaults(run=_walkthrough, parser=parser)
    parser.add_argument("--version", action="version", version=f"jaxwalk {__version__}")
    parser.add_argument("--csv", type=walk.path, metavar="FILE", help=f"other patients; columns: {', '.join(COLUMNS)}")
    parser.add_argument("--exact", action="store_true", help="the worked example in fractions, nothing rounded")
    parser.add_argument("--json", action="store_true", help="print data instead of tables")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    model = commands.add_parser(
        "walk",
        help="walk a model of your own through its data",
        description="Walks objective(params, x, y) through every datum: a line per point, then the largest losses.",
    )
    model.set_defaults(run=walk.run, parser=model)
    walk.add_options(model)
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
