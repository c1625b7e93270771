"""The command `jaxwalk walk`: its options, and what it does."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._errors import DataError, JaxwalkError, counted, with_options
from .._show.json_text import as_json
from .._show.table import terminal_width
from .._show.terminal import check_rich, show
from .data.dataset import DataBatches, Dataset
from .data.open import open_data
from .model_file import describe, place, read_model
from .walk_survey import Survey, points_of, survey
from .walk_tables import survey_data, survey_tables

BATCH = 256  # data walked at once, if nothing else is asked for

OPTIONS = {"at": "--at", "batches": "--data", "out": "--out", "resume=True": "--resume", "top": "--top"}
"""What arguments of the API, as errors have them, are called here."""


def add_to(commands: Any) -> None:
    """Add the command and its options to those of a parser."""
    parser = commands.add_parser(
        "walk",
        help="walk a model of your own through its data",
        description="Walks objective(params, x, y) through every datum: a line per point, then the largest losses.",
    )
    parser.set_defaults(parser=parser, run=_run, refused=_refused, interrupted=_interrupted)
    add = parser.add_argument
    add("file", type=path, metavar="FILE.py", help="defines objective(params, x, y), of one datum, and params")
    add("--data", type=path, required=True, metavar="PATH", help="x and y: npz, folder of npy, csv, Parquet")
    add("--x", type=_names, metavar="NAMES", help="the columns of a table, or the array, to take as x")
    add("--y", type=_names, metavar="NAMES", help="... as y")
    add("--by", choices=("tags", "scopes", "lines"), help="where points come from (default: tags and scopes, or lines)")
    add("--at", action="append", metavar="NAME", help="walk these points alone; a name or a glob, may be repeated")
    add("--batch-size", type=_positive, metavar="N", help=f"how many data are walked at once (default {BATCH})")
    add("--devices", type=_positive, metavar="N", help="divide each batch among N devices; on a CPU, N virtual ones")
    add("--out", type=path, metavar="DIR", help="write loss and norms of every datum there, as Parquet (extra `store`)")
    add("--resume", action="store_true", help="go on with what is in --out")
    add("--top", type=_positive, default=10, metavar="K", help="how many data of largest loss (default 10)")
    add("--no-kinks", action="store_true", help="do not count kinks, which takes about three forward passes")
    add("--no-progress", action="store_true", help="show no bar")
    # Suppressed: else its default would undo a `--json` before the command.
    add("--json", action="store_true", default=argparse.SUPPRESS, help="print data instead of tables")


def path(text: str) -> Path:
    """Read an option that is a path."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; give a path")  # by itself, `Path` would take the current folder
    return Path(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return int(text)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name; divide names by commas")
    return names


def _refused(options: argparse.Namespace) -> str | None:
    """Return why these options do not go together, if they do not."""
    if options.csv is not None:
        return "--csv is for the worked example; `walk` takes its data by --data"
    if options.exact:
        return "--exact is for the worked example; for a function of your own there is `jaxwalk.exact`"
    if options.resume and options.out is None:
        return "--resume goes on with what is in --out; name its directory"
    return None


def _run(options: argparse.Namespace) -> None:
    """Walk the model through its data, and print what was found.

    Raises:
        JaxwalkError: something given does not fit.
    """
    if not options.json:
        check_rich()  # before hours of work
    data = open_data(options.data, options.x, options.y)
    with contextlib.redirect_stdout(sys.stderr):  # what the user's file prints is not among our results
        surveyed = _surveyed(options, data)
    if options.json:
        print(as_json(survey_data(surveyed, data.notes)))
    else:
        show(survey_tables(surveyed, data.notes, terminal_width()))


def _interrupted(options: argparse.Namespace) -> str:
    """Return what to say when the user has stopped it."""
    if options.out is None:
        return "stopped."
    parts = counted(len(list((options.out / "rows").glob("part-*.parquet"))), "part")
    return f"stopped; `{options.out}` holds {parts} of the rows, and the same command with `--resume` goes on."


def _surveyed(options: argparse.Namespace, data: Dataset) -> Survey:
    batches = DataBatches(data, _batch_size(options.batch_size, data.rows, options.devices or 1))
    _ask_for_devices(options.devices)
    model = read_model(options.file)
    mesh = _mesh(options.devices)
    try:
        with _blaming(options.file, "on the first datum", data):
            points = points_of(*model, data, options.at, options.by)
        with _blaming(options.file, "in a batch", data):
            return survey(
                *model, batches, points, at=options.at, by=options.by, top=options.top, mesh=mesh, out=options.out,
                resume=options.resume, kinks=not options.no_kinks, progress=not options.no_progress,
            )  # fmt: skip
    except JaxwalkError as error:
        done = getattr(error.__cause__, "evaluation", None)
        if done is None or options.out is None:
            raise
        kept = f" The {done.count} data before that are kept in `{options.out}`."
        raise type(error)(str(error) + kept) from error


@contextlib.contextmanager
def _blaming(file: Path, when: str, data: Dataset) -> Iterator[None]:
    """Turn what the user's function raises into a sentence, and name options in what jaxwalk refuses."""
    try:
        yield
    except Exception as error:
        if isinstance(error, JaxwalkError) and not place(error):
            raise type(error)(with_options(error, OPTIONS)) from error
        about = "".join(f" {note}" for note in data.notes if data.joined)
        raise DataError(f"`objective` of `{file}` fails {when}: {describe(error)}.{about}") from error


def _batch_size(asked: int | None, rows: int, devices: int) -> int:
    """Return as many as are asked for, or there are, that `devices` divides.

    Raises:
        DataError: there is no such number.
    """
    if asked is not None and asked % devices:
        among = counted(devices, "device")
        raise DataError(f"`--batch-size` is {asked}, which {among} do not divide; give a multiple of {devices}.")
    if rows < devices:
        raise DataError(f"`--devices` is {devices}, and `--data` has {counted(rows, 'row')}; give no more than that.")
    return max(1, min(asked or BATCH, rows) // devices) * devices


def _ask_for_devices(count: int | None) -> None:
    """Ask JAX to let one CPU stand for several, which it does only before it has started."""
    has_been_said = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if count is None or has_been_said or getattr(jax.config, "jax_num_cpu_devices", -1) >= count:
        return
    with contextlib.suppress(RuntimeError):  # JAX has started already, with the devices that there are
        jax.config.update("jax_num_cpu_devices", count)


def _mesh(count: int | None) -> jax.sharding.Mesh | None:
    if count is None:
        return None
    devices = jax.devices()
    if len(devices) < count:
        there = counted(len(devices), "device")
        raise DataError(f"`--devices` is {count}, and JAX has {there} ({devices[0].platform}); give no more than that.")
    return jax.sharding.Mesh(np.array(devices[:count]), ("data",))
