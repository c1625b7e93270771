"""Reads the command line, runs the command it names, and ends with an exit status."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from .._errors import JaxwalkError, counted, with_options
from .._printable import printable
from .._signals import Stopped, check, stopping
from .._version import __version__
from .options import BATCH, COLUMNS, NAMES, check_report, check_walk, names, path, positive, rate


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns the exit status: 0; 2 where something given does not fit; 130 where Ctrl-C stopped it, and 143 SIGTERM.
    """
    words = sys.argv[1:] if arguments is None else arguments
    options, unknown = _parser().parse_known_args(words, argparse.Namespace(words=["jaxwalk", *words]))
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if refused := options.refused(options):
        options.parser.error(refused)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # so that a terminal that has no δ shows a ? for it
            stream.reconfigure(errors="replace")
    try:
        with stopping(lambda: options.interrupted(options)):
            options.check(options)
            _command(options.command)(options)
            sys.stdout.flush()
    except JaxwalkError as error:
        print(f"jaxwalk: {with_options(error, NAMES)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output, `head` say, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as stop:
        print(f"jaxwalk: {options.interrupted(options)}", file=sys.stderr)
        return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)
    return 0


def _command(module: str) -> Callable[[argparse.Namespace], None]:
    """Import a command, and JAX with it: this takes seconds, so it is done once the options are known to fit."""
    run = importlib.import_module(f".{module}", __package__).run
    check()
    return run


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="jaxwalk",
        description="Walk through a JAX model, forward and backward. Without a command: the worked example.",
    )
    parser.set_defaults(parser=parser, command="example_command", refused=_refused_example, check=check_report)
    parser.set_defaults(interrupted=lambda options: "stopped.")
    parser.add_argument("--version", action="version", version=f"jaxwalk {__version__}")
    parser.add_argument("--csv", type=path, metavar="FILE", help=f"other patients; columns: {', '.join(COLUMNS)}")
    parser.add_argument("--exact", action="store_true", help="the worked example in fractions, nothing rounded")
    parser.add_argument("--json", action="store_true", help="print data instead of tables")
    parser.add_argument("--report", type=path, metavar="FILE.html", help="write a page to read, too (extra `report`)")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_learn(commands)
    _add_walk(commands)
    return parser


def _add_learn(commands: Any) -> None:
    parser = commands.add_parser(
        "learn",
        help="teach the worked example's model by gradient descent",
        description="Teaches the worked example's model: one patient at a time, then all at once; and what signs tell.",
    )
    parser.set_defaults(parser=parser, command="learn_command", refused=_refused_learn, check=lambda options: None)
    add = parser.add_argument
    add("--rate", type=rate, action="append", metavar="α", help="of learning; may be repeated (default 1 and 1e-7)")
    add("--csv", type=path, default=argparse.SUPPRESS, metavar="FILE", help="other patients, as without a command")
    for option, what in (("--exact", "in fractions, nothing rounded"), ("--json", "print data instead of tables")):
        add(option, action="store_true", default=argparse.SUPPRESS, help=what)


def _add_walk(commands: Any) -> None:
    parser = commands.add_parser(
        "walk",
        help="walk a model of your own through its data",
        description="Walks objective(params, x, y) through every datum: a line per point, then the largest losses.",
    )
    parser.set_defaults(
        parser=parser, command="walk_command", refused=_refused, check=check_walk, interrupted=_interrupted
    )
    add = parser.add_argument
    add("file", type=path, metavar="FILE.py", help="defines objective(params, x, y), of one datum, and params")
    add("--data", type=path, required=True, metavar="PATH", help="x and y: npz, folder of npy, csv, Parquet")
    add("--x", type=names, metavar="NAMES", help="the columns of a table, or the array, to take as x")
    add("--y", type=names, metavar="NAMES", help="... as y")
    add("--by", choices=("tags", "scopes", "lines"), help="where points come from (default: tags and scopes, or lines)")
    add("--source", action="append", metavar="WHERE", help="whose lines are yours too: a module, or a glob of files")
    add("--at", action="append", metavar="NAME", help="walk these points alone; a name or a glob, may be repeated")
    add("--batch-size", type=positive, metavar="N", help=f"how many data are walked at once (default {BATCH})")
    add("--devices", type=positive, metavar="N", help="divide each batch among N devices; on a CPU, N virtual ones")
    add("--out", type=path, metavar="DIR", help="write loss and norms of every datum there, as Parquet (extra `store`)")
    add("--resume", action="store_true", help="go on with what is in --out")
    add("--top", type=positive, default=10, metavar="K", help="how many data of largest loss (default 10)")
    add("--no-kinks", action="store_true", help="do not count kinks, which takes about three forward passes")
    add("--no-progress", action="store_true", help="show no bar")
    # Suppressed: else their defaults would undo what is given before the command.
    add("--json", action="store_true", default=argparse.SUPPRESS, help="print data instead of tables")
    page = "write a page to read, too (extra `report`); dead units and blocked flow are then counted as well"
    add("--report", type=path, default=argparse.SUPPRESS, metavar="FILE.html", help=page)


def _refused_example(options: argparse.Namespace) -> str | None:
    """Return why these options of the worked example do not go together, if they do not."""
    if options.exact and options.report is not None:
        return "--report shows the numbers of a run, and --exact has fractions; leave one of them out"
    return None


def _refused_learn(options: argparse.Namespace) -> str | None:
    """Return why these options of `learn` do not go together, if they do not."""
    if options.report is not None:
        return "--report is for a walk, and `learn` writes no page; leave it out"
    return None


def _refused(options: argparse.Namespace) -> str | None:
    """Return why these options do not go together, if they do not."""
    if options.csv is not None:
        return "--csv is for the worked example; `walk` takes its data by --data"
    if options.exact:
        return "--exact is for the worked example; for a function of your own there is `jaxwalk.exact`"
    if options.resume and options.out is None:
        return "--resume goes on with what is in --out; name its directory"
    if options.source and options.by in ("tags", "scopes"):
        return f"--source says whose lines are points, but --by is {options.by}; leave it out, or use --by lines"
    return None


def _interrupted(options: argparse.Namespace) -> str:
    """Return what to say when the user has stopped it."""
    if options.out is None:
        return "stopped."
    parts = counted(len(list((options.out / "rows").glob("part-*.parquet"))), "part")
    where = printable(str(options.out))
    return f"stopped; `{where}` holds {parts} of the rows, and the same command with `--resume` goes on."
