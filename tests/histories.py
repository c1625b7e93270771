"""Histories of training, made by hand: of a short loop over a watched step, and of many points and steps."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxwalk as jw

STATISTICS = ("output_rms", "output_max", "delta_rms", "delta_l2", "delta_max")
COUNTS = ("output_nan", "output_inf", "delta_nan", "delta_inf")


def looped(fun, params, batches, optimizer, **options):
    """Train in a loop of one's own, and make a history of what was seen."""
    step, state, seen = jax.jit(jw.watch(fun, optimizer, **options)), optimizer.init(params), []
    for batch in batches:
        params, state, found = step(params, state, *batch)
        seen.append(found)
    return stacked(seen)


def stacked(seen):
    """Make a history of what was seen in each step."""
    loss, kept, weights = jax.tree.map(
        lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]),
        *[(found.loss, found.kept, found.weights) for found in seen],
    )
    return jw.History(np.arange(len(seen)), loss, kept, weights, seen[0].points, total=len(seen))


def points_of(blocks, layers):
    """Return the points of an embedding, of blocks, two of three of them in a scan of so many layers, and of logits."""
    axes = (jw.Axis("scan", layers),)
    inner = (
        "norm_1",
        "attn/query",
        "attn/key",
        "attn/value",
        "attn/scores",
        "attn/out",
        "norm_2",
        "mlp/up",
        "mlp/act",
        "mlp",
    )
    names = [f"blocks/{i}/{name}" for i in range(blocks) for name in inner]
    found = [("embed", ())] + [(name, axes if i % 30 < 20 else ()) for i, name in enumerate(names)] + [("logits", ())]
    lead = lambda axes: tuple(axis.length for axis in axes)
    clock = lambda axes, i: (i // 300, jw._points.point.ScanStep(axes[0].length, False), i) if axes else (i,)
    return jw.Points(
        jw.Point(
            name,
            i,
            "scope",
            (*lead(axes), 8, 16),
            jnp.dtype("float32"),
            axes,
            clock=clock(axes, i),
            site=jw._points.point.Site((), i),
        )
        for i, (name, axes) in enumerate(found, 1)
    )


def synthetic(steps=1000, blocks=30, layers=12, runs=(), stride=1, seed=0):
    """Make a history of 10 points a block: δ shrinks with depth, then grows; some are zero, some not finite."""
    random = np.random.default_rng(seed)
    points = points_of(blocks, layers)
    time = np.linspace(0, 1, steps)
    kept = {}
    for place, (name, point) in enumerate(points.items()):
        shape = (steps, *runs, *(axis.length for axis in point.axes))
        trend = (place / len(points) - 1) * 4 * (1 - time) + 2 * time
        size = 10 ** (trend.reshape(-1, *[1] * (len(shape) - 1)) + 0.2 * random.standard_normal(shape))
        values = {key: size.astype(np.float32) for key in STATISTICS}
        counts = {key: np.zeros(shape, np.int32) for key in COUNTS}
        kept[name] = {**values, **counts, "active_share": np.ones((*shape, 16), np.float32)}
    half = steps // 2
    for key in ("delta_rms", "delta_l2", "delta_max"):
        kept["blocks/0/mlp/act"][key][half:] = 0
        kept["blocks/1/norm_1"][key][: steps // 4] = 0
        kept["blocks/1/attn/scores"][key][steps // 3] = np.nan
    for name in list(points)[-2 * blocks :]:
        kept[name]["delta_nan"][int(0.9 * steps) :] = 3
    loss = (8 * np.exp(-5 * time) + 0.05 * (1 + random.standard_normal(steps) ** 2)).reshape(-1, *[1] * len(runs))
    loss = np.broadcast_to(loss, (steps, *runs)) * np.exp(0.1 * random.standard_normal(runs))
    loss = np.where(time.reshape(-1, *[1] * len(runs)) < 0.9, loss, np.nan).astype(np.float32)
    return jw.History(np.arange(steps) * stride, loss, jw.Named(kept), jw.Named({}), points, steps * stride, stride)
