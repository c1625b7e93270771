"""`coordinate_check`: a model trained for some steps at several widths, and how its sizes go with the width."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import optax

from ..._callables import check_takes
from ..._depth import deep_calls
from ..._errors import ArgumentError, listed, shown
from ..._jax.jaxpr.jaxprs import is_staging
from ..._points.find import check_by
from ..._points.name_patterns import At, check_at
from ..._source.user_files import Source
from ..trained import check_optimizer, is_transformation, trained_part
from .result import CoordinateCheck, checked
from .sizes import Look, Step, Trained, step_of, trained

Optimizer = optax.GradientTransformation | Callable[[int], optax.GradientTransformation]


@deep_calls()
def coordinate_check(
    make: Callable[..., tuple[Callable, Any]],
    widths: Iterable[int],
    batches: Iterable[Any],
    optimizer: Optimizer,
    steps: int = 4,
    *,
    seeds: int | None = None,
    at: At = None,
    by: str | None = None,
    source: Source = None,
    has_aux: bool = False,
) -> CoordinateCheck:
    """Train a model for a few steps at several widths, and tell which points do not go with the width as muP wants.

    This is the coordinate check of Yang et al. (Tensor Programs V, arXiv 2203.03466, §D.1; `mup.coord_check`): in the
    maximal update parametrization every value of a model has entries of a size that does not depend on its width, and
    so has its change by training; then rates and other hyperparameters of a narrow model are those of a wide one.

    The size of an array is the mean of |entry|, which scatters less from seed to seed than a root mean square (mup's
    README). Before each update and after the last one, these are measured: of every point its `output`; the `change` of
    that since initialisation, on the same batch; `delta`; and of every parameter its `update`. The slope k of size ∝
    widthᵏ is fitted by least squares in log-log. What muP wants, and what is found where it is not so:

    - At initialisation no output grows ("grows at init"), and none of a hidden layer shrinks ("vanishes at init"). A
      point with as many entries at every width, as the network's output or attention's logits, may be zero, or go as
      1/√width.
    - The change grows after no update ("blows up"), and does not shrink after each of them ("does not learn"). Points
      of fixed size before the last one of a hidden layer may shrink: a mean over features does.
    - All is finite ("not finite").

    A slope is beyond what muP wants if it is more than 1/4 from 0, half way to ±1/2, the next exponent of the known
    parametrizations (Yang & Hu, arXiv 2011.14522, table 1), and more than twice its standard error. δ and updates are
    told and not judged: under muP δ of a hidden layer goes as 1/width, and an update depends on which factors stand
    before the weight. Nor are integers judged, values that are computed of weights alone, and what is zero at some
    width, which has no slope. An output that starts large beside what it is to be, as it may at narrow widths, drives
    the first updates of a narrow model, and not those of a wide one: start it small, or with zeros, as mup advises.

    Arguments:
        make: width -> (fun, params), with `fun(params, *batch)` the loss of a batch; with `seeds`, (width, seed) ->
            the same. All widths have the same points and the same parameters, of other shapes. A `fun` that is one
            object for all seeds is compiled once for each width.
        widths: at least two positive integers; three or more tell how sure a slope is. Each twice the one before, from
            64 or so: narrower models bend from what they are at large width.
        batches: (x, y) or whatever `fun` takes after `params`; one that is no tuple or list is one argument. There is
            one for each of steps + 1 looks; where there are fewer, they are used again from the first. One batch for
            all, as [(x, y)], scatters least, and is what mup does.
        optimizer: an optax transformation, or a function of the width that returns one: by Adam the rates of muP go
            as 1/width (`optax.multi_transform` gives each parameter its own).
        steps: how many updates.
        seeds: train with the seeds 0, 1, ... of so many; the sizes are their means. None: once, without one.
        at, by, source, has_aux: as of `jw.walk`.

    Returns:
        A `CoordinateCheck`: a table of slopes, `sizes`, `slopes`, `findings`; `jw.plot.coordinates` draws it.

    Raises:
        ArgumentError: an argument does not fit; the points or parameters differ between widths in more than their
            shapes, or do not depend on the width; a loss is no real scalar.
        PointError: as of `jw.walk`.

    >>> import jax, jax.numpy as jnp, optax, jaxwalk as jw
    >>> def loss(params, x):
    ...     hidden = jw.tag(x @ params["in"], "hidden")
    ...     return jnp.mean(jw.tag(hidden @ params["out"], "output"))
    >>> def make(width):
    ...     a, b = jax.random.split(jax.random.key(0))
    ...     return loss, {"in": jax.random.normal(a, (8, width)), "out": jax.random.normal(b, (width, 1)) / width**0.5}
    >>> x = jax.random.normal(jax.random.key(1), (16, 8))
    >>> check = jw.coordinate_check(make, [64, 128, 256], [x], optax.sgd(0.01), steps=2)
    >>> [(finding.name, finding.point) for finding in check.findings]
    [('does not learn', 'hidden'), ('blows up', 'output')]
    """
    _check(make, steps, seeds, at, by, source)
    widths, looks = _widths(widths), _batches(batches, steps + 1)
    runs = [[*_runs(make, width, looks, optimizer, seeds, Look(at, by, source, has_aux))] for width in widths]
    _check_alike(widths, [run[0] for run in runs])
    return checked(widths, steps, runs)


def _runs(
    make: Callable, width: int, batches: Sequence[tuple], optimizer: Optimizer, seeds: int | None, look: Look
) -> Iterator[Trained]:
    """Train the model of one width, with each seed."""
    transformation = _optimizer(optimizer, width)
    compiled: tuple[Callable, Step] | None = None
    for seed in range(1 if seeds is None else seeds):
        fun, params = _made(make(width) if seeds is None else make(width, seed), width)
        part = trained_part(params)
        if compiled is None or compiled[0] is not fun or part is not params:
            compiled = fun, step_of(fun, params, transformation, look)
        yield trained(compiled[1], transformation, part, batches)


def _check(make: Any, steps: Any, seeds: Any, at: At, by: str | None, source: Source) -> None:
    check_by(by, source)
    check_at(at)
    for name, value, what in (("steps", steps, ""), ("seeds", seeds, ", or None")):
        if not _is_count(value) and not (name == "seeds" and value is None):
            raise ArgumentError(f"`{name}` is {shown(value)}; it must be an integer of at least 1{what}.")
    if not callable(make):
        raise ArgumentError(f"`make` is {shown(make)}; give a function of the width that returns (fun, params).")
    check_takes(make, "`make`", *(["width"] if seeds is None else ["width", "seed"]))
    if is_staging():
        raise ArgumentError("`coordinate_check` trains now and cannot be traced; call it outside `jax.jit`.")


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 1


def _widths(widths: Any) -> tuple[int, ...]:
    found = list(widths) if isinstance(widths, Iterable) and not isinstance(widths, str) else []
    if len(found) < 2 or not all(map(_is_count, found)) or len({*found}) < len(found):
        raise ArgumentError(
            f"`widths` is {shown(widths)}; give two or more positive integers, no two the same, such as [64, 128, 256]."
        )
    return tuple(sorted(map(int, found)))


def _batches(batches: Any, count: int) -> list[tuple]:
    if not isinstance(batches, Iterable) or hasattr(batches, "shape"):
        raise ArgumentError(f"`batches` is {shown(batches)}; give an iterable of batches, such as [(x, y)].")
    if isinstance(batches, tuple) and len(batches) > 1 and all(hasattr(part, "shape") for part in batches):
        raise ArgumentError("`batches` is a tuple of arrays, which is one batch; give a list of batches, as [(x, y)].")
    found = [*itertools.islice(batches, count)]
    if not found:
        raise ArgumentError("`batches` has no batch; give at least one, such as [(x, y)].")
    arguments = [_arguments(batch) for batch in found]
    return [*itertools.islice(itertools.cycle(arguments), count)]


def _arguments(batch: Any) -> tuple:
    return tuple(batch) if isinstance(batch, (tuple, list)) and not hasattr(batch, "_fields") else (batch,)


def _made(made: Any, width: int) -> tuple[Callable, Any]:
    if not isinstance(made, tuple) or len(made) != 2 or not callable(made[0]):
        raise ArgumentError(
            f"`make` returned {shown(made)} at width {width}; it must return a pair (fun, params), of which"
            " fun(params, *batch) is the loss."
        )
    return made


def _optimizer(optimizer: Any, width: int) -> optax.GradientTransformationExtraArgs:
    """Return the optimizer for a width.

    Raises:
        ArgumentError: it is none; or it is a function that makes one of a learning rate, as `optax.adam`.
    """
    if is_transformation(optimizer):
        return check_optimizer(optimizer)
    fix = "give an optax transformation, as `optax.adam(1e-3)`, or a function of the width that returns one"
    if not callable(optimizer):
        raise ArgumentError(f"`optimizer` is {shown(optimizer)}; {fix}.")
    if _takes_rate(optimizer):
        name = getattr(optimizer, "__name__", "optimizer")
        raise ArgumentError(f"`optimizer` is `{name}` itself, which would take the width for its learning rate; {fix}.")
    found = optimizer(width)
    if not is_transformation(found):
        raise ArgumentError(f"`optimizer` returned {shown(found)} for width {width}; {fix}.")
    return check_optimizer(found)


def _takes_rate(function: Callable) -> bool:
    try:
        return next(iter(inspect.signature(function).parameters), "") in ("learning_rate", "lr")
    except (TypeError, ValueError):
        return False


def _check_alike(widths: Sequence[int], runs: Sequence[Trained]) -> None:
    """Raise an ArgumentError where models of two widths differ in more than shapes, or do not depend on the width."""
    first = runs[0]
    for width, run in zip(widths, runs, strict=True):
        for what, one, other in (
            ("points", [*first.points], [*run.points]),
            ("parameters", [*first.entries], [*run.entries]),
        ):
            if one != other:
                raise ArgumentError(_differing(what, one, other, widths[0], width))
        for name, point in run.points.items():
            if point.axes != first.points[name].axes:
                raise ArgumentError(
                    f"The point `{name}` is in loops of {[a.length for a in first.points[name].axes]} steps at width"
                    f" {widths[0]} and of {[a.length for a in point.axes]} at width {width}; change the width alone."
                )
    if all(run.entries == first.entries for run in runs):
        raise ArgumentError(
            f"`make` returned parameters of the same sizes at the widths {widths[0]} and {widths[-1]}; make those of"
            " the hidden layers as wide as it is told."
        )


def _differing(what: str, one: list[str], other: list[str], first: int, width: int) -> str:
    lacking, added = [n for n in one if n not in other], [n for n in other if n not in one]
    said = [f"{listed(names, 4)} at width {at} alone" for names, at in ((lacking, first), (added, width)) if names]
    said = said or ["they come in another order"]
    fix = "name them alike at every width, or choose by `at`" if what == "points" else "give them alike names"
    return f"The {what} differ between widths: {' and '.join(said)}; {fix}."
