"""Random programs against an ε placed by hand: `python fuzz.py N SEED` makes N, of seeds SEED, SEED + 1 ...; nightly.

Each is a source text, run in two ways: with `jw.tag` and scopes, and by hand, without jaxwalk: every value that is a
point goes through `by_hand`, whose argument has as its gradient δ and the output. Compared are all outputs and deltas,
those with a point, or some of its steps or shards, edited, what `keep` returns, and δ along a random direction with
finite differences. The programs have `shard_map`, scans, branches, functions called twice, and values read inside and
outside of their scope. A program takes some seconds; give several processes seeds of their own.
"""

import functools
import os
import random
import sys
import textwrap
import traceback

os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxwalk as jw

SHAPE = (4, 4)
BOTH = ("a", "b")
LENGTHS = {"a": 2, "b": 2}
EXPRESSIONS = (
    "jnp.tanh({h})",
    "jnp.sin({h}) + 0.5 * {h}",
    "jax.nn.softmax({h}, -1)",
    "jnp.cumsum({h}, 0) / 2",
    "{h} * jnp.mean(jnp.cos({h}))",
    "jnp.where({h} > 0.1, {h}, 0.3 * {h})",
)
COLLECTIVES = (  # each with the axes of the mesh over which its result no longer varies
    ("lax.pmean(jnp.sin({h}), 'a')", "a"),
    ("lax.psum(jnp.tanh({h}), 'b') / 2", "b"),
    ("lax.psum({h} * {h}, ('a', 'b')) / 4", "ab"),
    ("lax.ppermute(jnp.sin({h}), 'a', [(0, 1), (1, 0)])", ""),
    ("lax.psum_scatter(jnp.cos(lax.all_gather({h}, 'a', tiled=True)), 'a', tiled=True)", ""),
)


# The source text ------------------------------------------------------------------------------------------


class Place:
    """A point: its name, where its argument is in the tree of these, the lengths of its leading axes, its own shape."""

    def __init__(self, name, path, lead, shape):
        self.name, self.path, self.lead, self.shape = name, path, lead, shape


class Around:
    """What is around a statement: the way to the arguments, lengths of loops, the shards, what may be in it."""

    def __init__(self, path=(), lead=(), shards=None, depth=0, collectives=False, twice=False):
        self.path, self.lead, self.shards, self.depth = path, lead, shards, depth
        self.collectives, self.twice = collectives, twice

    def inside(self, key, lead=(), **changes):
        values = {**vars(self), "depth": self.depth + 1, **changes}
        return Around(**(values | {"path": (*self.path, key), "lead": (*self.lead, *lead)}))


class Shards:
    """A `shard_map`: whether it is checked, how many loops are around it, over which axes each place in it varies."""

    def __init__(self, checked, loops):
        self.checked, self.loops, self.specs = checked, loops, {}


class Writer:
    """Writes a random program, `fun(h, eps, mark, leave)`, and notes its places."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.count, self.places, self.deepest = 0, [], self.random.choice([1, 1, 2, 2, 3])

    def number(self):
        self.count += 1
        return self.count

    def program(self):
        lines = self.block(Around(), self.random.randint(1, 3))
        return "\n".join(["def fun(h, eps, mark, leave):", *indented(lines), "    return jnp.sum(h**2)"])

    def block(self, around, statements):
        lines = []
        for _ in range(statements):
            lines += self.statement(around)
        return [*lines, *self.tag(around, self.expression())]

    def statement(self, around):
        kinds = [self.plain, self.scope, self.scope]
        if around.collectives:
            kinds += [self.collective] * 3
        if around.depth < self.deepest:
            kinds += [self.jit, self.checkpoint, self.scan, self.cond]
            kinds += [self.jit_twice] if not around.twice else []
            kinds += [self.shard_map] * 3 if around.shards is None else []
        return self.random.choice(kinds)(around)

    def expression(self, h="h"):
        return self.random.choice(EXPRESSIONS).format(h=h)

    def place(self, around, name, key, without="", number=1):
        """Notes a place, whose value does not vary over the axes `without` of the mesh."""
        lead, shape = list(around.lead), SHAPE
        if around.shards is not None:
            over = tuple(axis for axis in BOTH if axis not in without or not around.shards.checked)
            around.shards.specs[(*around.path, key)] = over
            lead[around.shards.loops : around.shards.loops] = [LENGTHS[axis] for axis in over]
            shape = (2, 2)
        self.places.append(Place(name, (*around.path, key), tuple(lead), shape))

    def tag(self, around, expression, without=""):
        name = f"p{self.number()}"
        self.place(around, name, name, without)
        return [f'h = mark({expression}, "{name}", eps["{name}"])']

    def plain(self, around):
        return self.tag(around, self.expression()) if self.random.random() < 0.5 else [f"h = {self.expression()}"]

    def collective(self, around):
        expression, without = self.random.choice(COLLECTIVES)
        name = f"p{self.number()}"
        self.place(around, name, name, without)
        return [f'm = mark({expression.format(h="h")}, "{name}", eps["{name}"])', "h = 0.7 * h + jnp.sin(h) * m"]

    def scope(self, around):
        """A value that is read in its scope, in a call there or not, and outside of it."""
        name = f"s{self.number()}"
        for key, suffix in (("v", ":0"), ("u", ":1")):
            self.place(around.inside(name), f"{name}{suffix}", key)
        call = self.random.choice(["{}", "jax.jit({})", "jax.checkpoint({})"]).format(f"both_{name}")
        return [
            f"def both_{name}(h, eps):",
            f'    v = leave({self.expression()}, eps["v"])',
            f'    return v, leave({self.expression("v")} * v, eps["u"])',
            f'with jax.named_scope("{name}"):',
            f'    v, u = {call}(h, eps["{name}"])',
            "h = u + 0.3 * v",
        ]

    def function(self, around, name, results="h"):
        lines = self.block(around, self.random.choice([0, 0, 1, 1, 2]))
        return [f"def {name}(h, eps):", *indented(lines), f"    return {results}"]

    def jit(self, around, transform="jax.jit"):
        name = f"f{self.number()}"
        return [*self.function(around.inside(name), name), f'h = {transform}({name})(h, eps["{name}"])']

    def checkpoint(self, around):
        return self.jit(around, "jax.checkpoint")

    def jit_twice(self, around):
        name, begin = f"f{self.number()}", len(self.places)
        lines = self.function(around.inside(name).inside(0, twice=True), name)
        first = self.places[begin:]
        depth = len(around.path) + 1
        for place in first:
            base, colon, suffix = place.name.partition(":")
            path = (*place.path[:depth], 1, *place.path[depth + 1 :])
            self.places.append(Place(f"{base}#2{colon}{suffix}", path, place.lead, place.shape))
            if around.shards is not None:
                around.shards.specs[path] = around.shards.specs[place.path]
        return [*lines, f"{name} = jax.jit({name})", f'h = {name}({name}(h, eps["{name}"][0]), eps["{name}"][1])']

    def scan(self, around):
        name, length = f"f{self.number()}", self.random.choice([1, 3])
        options = f"length={length}, reverse={self.random.random() < 0.5}"
        inside = around.inside(name, (length,))
        return [*self.function(inside, name, "h, None"), f'h, _ = lax.scan({name}, h, eps["{name}"], {options})']

    def cond(self, around):
        """Its shards each go their own way, and so have nothing to tell one another in there."""
        name = f"f{self.number()}"
        inside = around.inside(name)
        no = self.function(inside.inside("no", collectives=False), f"{name}_no")
        yes = self.function(inside.inside("yes", collectives=False), f"{name}_yes")
        yes[1:1], no[1:1] = ['    eps = eps["yes"]'], ['    eps = eps["no"]']
        return [*no, *yes, f'h = lax.cond(jnp.sum(h) > 0.3, {name}_yes, {name}_no, h, eps["{name}"])']

    def shard_map(self, around):
        name, shards = f"f{self.number()}", Shards(self.random.random() < 0.6, len(around.lead))
        inside = around.inside(name, shards=shards, collectives=True)
        lines = self.function(inside, name)
        depth = len(inside.path)
        specs = nested({path[depth:]: f"P{over}" for path, over in shards.specs.items()})
        return [*lines, f'h = shards({name}, {text_of(specs)}, {shards.checked})(h, eps["{name}"])']


def indented(lines):
    return textwrap.indent("\n".join(lines), "    ").split("\n")


def nested(leaves):
    """A tree of dicts and pairs, from leaves by path."""
    tree = {}
    for path, leaf in leaves.items():
        inner = tree
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = leaf
    return _as_pairs(tree)


def _as_pairs(tree):
    if not isinstance(tree, dict):
        return tree
    found = {key: _as_pairs(value) for key, value in tree.items()}
    return [found[0], found[1]] if set(found) == {0, 1} else found


def text_of(tree):
    if isinstance(tree, dict):
        return "{" + ", ".join(f'"{key}": {text_of(value)}' for key, value in tree.items()) + "}"
    return "[" + ", ".join(map(text_of, tree)) + "]" if isinstance(tree, list) else tree


# What the text refers to ----------------------------------------------------------------------------------


def shards(fun, specs, checked):
    def on_a_shard(h, eps):
        return fun(h, jax.tree.map(lambda e, spec: lax.squeeze(e, range(len(spec))), eps, specs))

    mesh = jax.make_mesh((2, 2), BOTH, axis_types=(AxisType.Auto,) * 2)
    spec = P("a", "b")
    return jax.shard_map(on_a_shard, mesh=mesh, in_specs=(spec, specs), out_specs=spec, check_vma=checked)


@jax.custom_vjp
def noted(value, slot):
    """The value; the gradient with respect to the slot is the value too."""
    return value


noted.defvjp(lambda value, slot: (value, value), lambda value, ct: (ct, value))


def edit(value):
    return 0.5 * value + 0.1


def by_hand(value, argument):
    """The value, edited where argument[1] is 1, with the ε argument[0] added, noted by argument[2]."""
    value = value + argument[1] * (edit(value) - value) + argument[0]
    return noted(value, argument[2])


# Comparing ------------------------------------------------------------------------------------------------


class Program:
    """A source text, its places, and the two functions made of it."""

    def __init__(self, seed):
        writer = Writer(seed)
        self.source, self.places = writer.program(), writer.places
        names = {"jax": jax, "jnp": jnp, "lax": lax, "P": P, "shards": shards}
        exec(compile(self.source, f"<program {seed}>", "exec"), names)
        self.fun = names["fun"]

    def arguments(self, values):
        """The tree of arguments, from a function of each place and what it is for: ε, edited, noted."""
        leaf = lambda place: np.stack([values(place, i) for i in range(3)], len(place.lead))
        return nested({place.path: leaf(place) for place in self.places})

    def tagged(self, x):
        zeros = self.arguments(lambda place, i: np.zeros((*place.lead, *place.shape)))
        return self.fun(x, zeros, lambda value, name, _: jw.tag(value, name), lambda value, _: value)

    @functools.cached_property
    def gradient(self):
        loss = lambda arguments, x: self.fun(x, arguments, lambda v, _, e: by_hand(v, e), by_hand)
        return jax.jit(jax.value_and_grad(loss))

    def found_by_hand(self, x, edited=None, epsilons=None):
        """Loss, outputs and deltas by name; `edited`: a name, and a mask of its steps."""

        def values(place, i):
            shape = (*place.lead, *place.shape)
            if i == 0 and epsilons is not None:
                return epsilons[place.name]
            if i == 1 and edited is not None and edited[0] == place.name:
                return np.broadcast_to(edited[1][..., None, None], shape)
            return np.zeros(shape)

        loss, gradient = self.gradient(self.arguments(values), x)
        at = {place.name: functools.reduce(lambda tree, key: tree[key], place.path, gradient) for place in self.places}
        part = lambda i: {p.name: np.take(np.asarray(at[p.name]), i, len(p.lead)) for p in self.places}
        return float(loss), part(2), part(0)


def chosen_steps(chance, place):
    """An index of some leading axes of a place, as text; and which of the steps it means."""
    mask = np.zeros(place.lead)
    if not place.lead:
        return "", np.ones(())
    items = []
    for length in place.lead[: chance.randint(1, len(place.lead))]:
        items.append(chance.choice([str(chance.randrange(length)), str(-1 - chance.randrange(length)), "0:2", "::2"]))
    index = f"[{', '.join(items)}]"
    exec(f"mask{index} = 1.0", {"mask": mask})
    return index, mask


def check(seed):
    """The source of the program, and what is wrong of it."""
    program, chance, wrong = Program(seed), random.Random(-seed - 1), []
    x = np.random.default_rng(seed).normal(size=SHAPE)
    place = chance.choice(program.places)
    index, mask = chosen_steps(chance, place)
    edited = jw.intervene(program.tagged, {place.name + index: edit})
    keep = lambda output, delta: jnp.sum(output * delta)

    def compare(what, one, other):
        if not np.allclose(one, other, rtol=1e-8, atol=1e-10):
            wrong.append(f"{what}: {np.asarray(one).tolist()} is not {np.asarray(other).tolist()}")

    def walks(x):
        kept = jw.walk(program.tagged, keep=keep)(x).kept if seed % 3 == 0 else {}
        return jw.walk(program.tagged)(x), jw.walk(edited)(x), kept

    try:
        walk, walk_edited, kept = jax.jit(walks)(x)
        names = sorted(place.name for place in program.places)
        if sorted(walk.points) != names or sorted(walk_edited.points) != names:
            return program.source, [f"the points are {list(walk.points)}, {list(walk_edited.points)}, not {names}"]
        for about, found, mine in (
            ("", None, walk),
            (f" with {place.name}{index} edited", (place.name, mask), walk_edited),
        ):
            loss, outputs, deltas = program.found_by_hand(x, found)
            compare(f"the loss{about}", mine.value, loss)
            for name in names:
                compare(f"output of {name}{about}", mine.outputs[name], outputs[name])
                compare(f"δ of {name}{about}", mine.deltas[name], deltas[name])
        for name, product in kept.items():
            compare(f"kept of {name}", product, np.sum(walk.outputs[name] * walk.deltas[name], (-1, -2)))
        move = {p.name: np.random.default_rng(seed).normal(size=(*p.lead, *p.shape)) for p in program.places}
        ahead, behind = (
            program.found_by_hand(x, None, {name: size * m for name, m in move.items()})[0] for size in (1e-7, -1e-7)
        )
        slope = sum(np.vdot(walk.deltas[name], m) for name, m in move.items())
        if not np.isclose((ahead - behind) / 2e-7, slope, rtol=1e-4, atol=1e-4):
            wrong.append(f"finite differences: {(ahead - behind) / 2e-7} is not {slope}")
    except Exception:
        wrong.append(traceback.format_exc(limit=-4))
    return program.source, wrong


def main(number, seed):
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_num_cpu_devices", 4)
    bad = 0
    for done in range(number):
        source, wrong = check(seed + done)
        if wrong:
            bad += 1
            print(f"WRONG: seed {seed + done}\n{source}\n" + "\n".join(wrong), flush=True)
        if done % 50 == 49:
            jax.clear_caches()
        if done % 25 == 24:
            print(f"{done + 1} programs, {bad} wrong", flush=True)
    print(f"{number} programs of seeds {seed} to {seed + number - 1}, {bad} wrong")
    return bad


if __name__ == "__main__":
    sys.exit(min(1, main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)))
