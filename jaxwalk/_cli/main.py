"""Reads the command line, runs the command it names, and ends with an exit status."""

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

from .._errors import JaxwalkError
from .._show.json_text import as_json
from .._show.terminal import show
from .._version import __version__
from . import walk_command
from .example import COLUMNS, PATIENTS, Cohort, walk_through
from .example_exact import exact_data, exact_tables, formula_tables
from .example_patients import read_csv
from .example_tables import walkthrough_data, walkthrough_tables


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns the exit status: 0; 2 where something given does not fit; 130 where Ctrl-C stopped it, and 143 SIGTERM.
    """
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if refused := options.refused(options):
        options.parser.error(refused)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # so that a terminal that has no δ shows a ? for it
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
        if interrupted := options.interrupted(options):
            print(f"jaxwalk: {interrupted}", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)
    return 0


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which a cluster sends before it takes the machine away. It stops the command as Ctrl-C does."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # signals can be handled only there
        yield
        return

    def stop(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jaxwalk",
        description="Walk through a JAX model, forward and backward. Without a command: the worked example.",
    )
    nothing = lambda options: None
    parser.set_defaults(parser=parser, run=_walk_example, refused=nothing, interrupted=nothing)
    path = walk_command.path
    parser.add_argument("--version", action="version", version=f"jaxwalk {__version__}")
    parser.add_argument("--csv", type=path, metavar="FILE", help=f"other patients; columns: {', '.join(COLUMNS)}")
    parser.add_argument("--exact", action="store_true", help="the worked example in fractions, nothing rounded")
    parser.add_argument("--json", action="store_true", help="print data instead of tables")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    walk_command.add_to(commands)
    return parser


def _walk_example(options: argparse.Namespace) -> None:
    cohort = PATIENTS
    if options.csv is not None:
        table = read_csv(options.csv, COLUMNS)
        cohort = Cohort(table[:, :-1], table[:, -1])
    if options.exact and options.json:
        print(as_json(exact_data(cohort)))
    elif options.exact:
        show(exact_tables(cohort))
    elif options.json:
        print(as_json(walkthrough_data(walk_through(cohort))))
    else:
        show(itertools.chain(formula_tables(), walkthrough_tables(walk_through(cohort))))
