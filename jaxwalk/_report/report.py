"""`report`: one page of what a walk, an evaluation or a training found, complete in itself."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .._errors import ArgumentError, shown
from .._evaluate.result.evaluation import Evaluation
from .._evaluate.store.one_file import path_of, replace
from .._learn.history import History
from .._learn.learn import Learned
from .._learn.seen import Seen
from .._walk.result import Walk
from .page import html_of
from .record import Record, record_of


def report(
    result: Walk | Evaluation | History | Learned | Seen | Sequence[Seen],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
) -> None:
    """Write one HTML page of what was found, to read, to print, to send to a colleague.

    It begins with the findings: those of `jw.health`, and in sentences where a NaN or an Inf is met first, where the
    flow stops, which units are dead, how δ grows or shrinks on its way back; that there is none is said too. Of a
    training, the loss and the size of δ at each point in each step follow. Below them are the flow of output and
    δ through the points, the tree of points (a click opens what is known of one), the source with δ beside each line,
    the entries, the data or the points most to blame, the kinks if `Walk.with_kinks` has added them, and the versions
    that computed it all. What has nothing to tell is left out.

    The page is one file, without scripts; it asks nothing of the network. It is there whole or not at all.

    Arguments:
        result: a `Walk`, or several by `jax.vmap`, or an `Evaluation`; or what `jw.learn` returned, or its `History`;
            or what steps of `jw.watch` have seen: one, a list of them, or those that `lax.scan` has stacked. Of a
            training, flow, points and source are those of the last step.
        path: of the file, "walk.html"; one that is there is replaced.
        title: the heading; None: one that says what was walked.

    Raises:
        ArgumentError: `result` is none of these, or is being traced; what steps have seen is not alike; `path` is none
            of a file; `title` is no text.
        StoreError: the file cannot be written, or is a link or a device.
        JaxwalkError: Jinja2 or matplotlib is not installed; they come with the extra `report`.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw, pathlib, tempfile
    >>> walk = jw.walk(lambda x: jnp.sum(jax.nn.relu(jw.tag(x * 2, "twice"))))(jnp.array([1.0, -1.0]))
    >>> page = pathlib.Path(tempfile.mkdtemp(), "walk.html")
    >>> jw.report(walk, page)
    >>> "twice" in page.read_text(encoding="utf-8")
    True
    """
    if title is not None and not isinstance(title, str):
        raise ArgumentError(f"`title` is {shown(title)}; give text, or leave it out.")
    file = path_of(path)
    write(record_of(result, title), file)


def write(record: Record, path: str | os.PathLike[str]) -> None:
    """Write the page of a record, whole or not at all.

    Raises:
        StoreError: the file cannot be written, or is a link or a device.
        JaxwalkError: Jinja2 or matplotlib is not installed.
    """
    replace(path_of(path), html_of(record).encode())
