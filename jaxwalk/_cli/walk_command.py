"""The command `jaxwalk walk`: a model and data of the user's own, walked and shown."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import jax
import numpy as np

from .._errors import DataError, JaxwalkError, counted, with_options
from .._jax.tracing import INSTEAD
from .._show.json_text import as_json
from .._show.table import terminal_width
from .._show.terminal import check_rich, show
from .._signals import check
from .._source.watch.observer import can_watch
from .data.dataset import DataBatches, Dataset
from .data.open import open_data
from .model_file import Model, describe, place, read_model
from .options import BATCH, NAMES
from .pages import survey_record, write_page
from .point_sizes import sizes, sizes_for_a_page
from .walk_survey import Survey, points_of, survey
from .walk_tables import survey_data, survey_tables


def run(options: argparse.Namespace) -> None:
    """Walk the model through its data, and print what was found.

    Raises:
        JaxwalkError: something given does not fit.
    """
    if not options.json:
        check_rich()  # before hours of work
    data = open_data(options.data, options.x, options.y)
    check()
    with contextlib.redirect_stdout(sys.stderr):  # what the user's file prints is not among our results
        surveyed = _surveyed(options, data)
    check()
    notes = [*data.notes, *_where_rows_are(options), *_traced()]
    if options.json:
        print(as_json(survey_data(surveyed, notes)))
    else:
        show(survey_tables(surveyed, notes, terminal_width()))
    if options.report is not None:
        title = f"{options.file.name}, through {options.data.name}"
        said = write_page(survey_record(surveyed, title, notes), options)
        if not options.json:
            show([said])


def _where_rows_are(options: argparse.Namespace) -> list[str]:
    if options.out is None:
        return []
    return [f"A row per datum, its loss and the norm of δ at each point, is in `{options.out / 'rows'}`, as Parquet."]


def _traced() -> list[str]:
    if sys.gettrace() is None:
        return []
    guess = "" if can_watch() else ", and of lines in loops the passes are a guess"
    return [f"`sys.settrace` is in use, by a debugger or the file itself: all is slower{guess}."]


def _surveyed(options: argparse.Namespace, data: Dataset) -> Survey:
    batches = DataBatches(data, _batch_size(options.batch_size, data.rows, options.devices or 1))
    _ask_for_devices(options.devices)
    model = _model(options)
    source, mesh = _source(options.source), _mesh(options.devices)
    check()
    try:
        with _blaming(options.file, "on the first datum", data):
            points = points_of(*model, data, options.at, options.by, source)
            check()
        with _blaming(options.file, "in a batch", data):
            return survey(
                *model, batches, points, at=options.at, by=options.by, top=options.top, mesh=mesh, out=options.out,
                resume=options.resume, kinks=not options.no_kinks, progress=not options.no_progress, source=source,
                keep=sizes if options.report is None else sizes_for_a_page,
            )  # fmt: skip
    except JaxwalkError as error:
        done = getattr(error.__cause__, "evaluation", None)
        if done is None or options.out is None:
            raise
        kept = f" The {done.count} data before that are kept in `{options.out}`."
        raise type(error)(str(error) + kept) from error


def _model(options: argparse.Namespace) -> Model:
    """Read the model.

    Raises:
        DataError: also where its file changes the folder from which the other paths are meant.
    """
    before = os.getcwd()
    model = read_model(options.file)
    relative = {"--data": options.data, "--out": options.out, "--report": options.report}
    named = [f"`{option}`" for option, path in relative.items() if path is not None and not path.is_absolute()]
    if named and os.getcwd() != before:
        paths = " and ".join(named)
        raise DataError(f"`{options.file}` changes the working directory; give absolute paths by {paths}.")
    return model


@contextlib.contextmanager
def _blaming(file: Path, when: str, data: Dataset) -> Iterator[None]:
    """Turn what the user's function raises into a sentence, and name options in what jaxwalk refuses."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # `sys.exit()` too, which would end this as if all were done
        if isinstance(error, JaxwalkError) and not place(error):
            raise type(error)(with_options(error, NAMES)) from error
        advice = [note for note in getattr(error, "__notes__", ()) if note == INSTEAD]
        about = "".join(f" {note}" for note in [*advice, *(data.notes if data.joined else ())])
        raise DataError(f"`objective` of `{file}` fails {when}: {describe(error)}.{about}") from error


def _source(given: Sequence[str] | None) -> list[str | ModuleType] | None:
    """Return the modules that are named, and what else is given, which are globs of files.

    Raises:
        DataError: there is no module of that name.
    """
    if given is None:
        return None
    is_name = lambda text: text.replace(".", "").isidentifier()
    return [_module(text) if is_name(text) else text for text in given]


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        cause = f"a module that cannot be imported: {describe(error)}"
        fix = "name one that can be, or give a glob of files, such as `*/name/*`"
        raise DataError(f"`--source` is `{name}`, {cause}; {fix}.") from error


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
