"""An `Evaluation` in a file: an npz of numbers, and a description in JSON."""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import ArgumentError, DataError
from ..._points.ordered_mapping import by_point
from ..._points.point import Axis, Point, Points, Site
from ..._rewrite.tap import loops
from ..._walk.nonfinite import KINDS
from ...stats import Units
from ..store import npz
from ..store.one_file import path_of, replace
from .datum import Data, datum_of

FORMAT = 2
"""The version of the header; it grows with every change that an older jaxwalk would misread. 2: of a method."""

WHOLE = ("count", "loss", "nonfinite")
OF_METHOD = ("method", "gap")
PLAIN = ("name", "number", "kind", "conditional", "unused", "stuck", "opaque", "file", "line", "alike")
NEWER = ("behind", "stopped", "read_in", "path", "in_while")  # which older files do not have
"""Fields of a point that JSON holds as they are."""


def save(fields: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write the fields of an `Evaluation`, whole or not at all.

    Raises:
        ArgumentError: `path` is none of a file.
        StoreError: the file cannot be written, or is a link or a device.
    """
    file = path_of(path)
    kept, culprits, points = fields["kept"], fields["culprits"], fields["points"]
    names, normed = list(kept.once()), list(culprits[0].numbers.once()) if culprits else []
    arrays = {f"kept {i}/{key}": value for i, name in enumerate(names) for key, value in kept[name].items()}
    arrays |= {f"seen {i}": fields["seen"][name] for i, name in enumerate(names)}
    arrays["index"] = np.array([d.index for d in culprits], np.int64)
    arrays["loss"] = np.array([d.loss for d in culprits])
    arrays["inputs"] = np.array([KINDS.index(d.inputs) for d in culprits], np.int8)
    arrays["norms"] = np.array([[d.numbers[name] for name in normed] for d in culprits])
    version = 1 if fields["method"] is None else FORMAT
    header = {"jaxwalk evaluation": version, "points": _described(points), "kept": names, "norms": normed}
    header |= {name: fields[name] for name in WHOLE} | {"why": None if names else kept.why_empty()}
    header |= {name: fields[name] for name in OF_METHOD} if version == FORMAT else {}
    replace(file, npz.pack(header, arrays))


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `save` wrote.

    Raises:
        ArgumentError: `path` is none of a file.
        DataError: the file is not there, or is none of these.
    """
    try:
        header, arrays = npz.unpack(path_of(path))
        if header["jaxwalk evaluation"] <= FORMAT:
            return _restored(header, arrays)
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {error.strerror or error}; give the path of a saved one.") from error
    except ArgumentError:
        raise
    except Exception as error:  # what is raised of a damaged file, or of another's, is of many kinds
        raise DataError(f"`{path}` is no saved evaluation; give what `Evaluation.save` wrote.") from error
    raise DataError(f"`{path}` was saved by a newer jaxwalk; read it with that.")


def _restored(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    points = Points(map(_point, header["points"]))
    kept: dict[str, dict[str, np.ndarray]] = {name: {} for name in header["kept"]}
    for key, value in arrays.items():
        if key.startswith("kept "):
            number, _, result = key.removeprefix("kept ").partition("/")
            kept[header["kept"][int(number)]][result] = value
    seen = {name: arrays[f"seen {i}"] for i, name in enumerate(header["kept"])}
    if any(array.shape != loops(points[name]) for name, array in seen.items()):
        raise ValueError("a point and what was seen of it differ")
    inputs = arrays.get("inputs", np.zeros(len(arrays["index"]), np.int8))
    rows = zip(*(a.tolist() for a in (arrays["index"], arrays["loss"], arrays["norms"], inputs)), strict=True)
    by_name = lambda norms: by_point(dict(zip(header["norms"], norms, strict=True)), points)
    method, gap = (header.get(name) for name in OF_METHOD)
    datum = datum_of(method, points)
    data = [datum(i, loss, by_name(norms), KINDS[kind]) for i, loss, norms, kind in rows]
    whole = {name: header[name] for name in WHOLE}
    named = {key: by_point(values, points, header["why"]) for key, values in (("kept", kept), ("seen", seen))}
    return whole | named | {"points": points, "culprits": Data(data), "method": method, "gap": gap}


def _described(points: Points) -> list[dict[str, Any]]:
    """Return the points as JSON. Of their sites it says only which are the same."""
    sites = list(dict.fromkeys(point.site for point in points.values()))
    return [
        {name: getattr(point, name) for name in (*PLAIN, *NEWER)}
        | {"shape": point.shape, "dtype": str(point.dtype), "axes": point.axes, "site": sites.index(point.site)}
        | {"aliases": point.aliases, "units": point.units}
        for point in points.values()
    ]


def _point(described: dict[str, Any]) -> Point:
    axes = tuple(Axis(kind, length) for kind, length in described["axes"])
    site, shape, dtype = Site(equation=described["site"]), tuple(described["shape"]), _dtype(described["dtype"])
    plain = {name: described[name] for name in PLAIN} | {name: described[name] for name in NEWER if name in described}
    plain["aliases"] = tuple(described.get("aliases", ()))
    plain["units"] = tuple(_units(*each) for each in described.get("units", ()))
    return Point(**plain, shape=shape, dtype=dtype, axes=axes, site=site)


def _units(statistic: str, shape: list[int], axes: list[int] | None, note: str) -> Units:
    return Units(statistic, tuple(shape), None if axes is None else tuple(axes), note)


def _dtype(name: str) -> Any:
    """Return the dtype; for random keys, that of keys of any kind."""
    return jax.dtypes.prng_key if name.startswith("key<") else jnp.dtype(name)
