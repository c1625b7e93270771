"""The texts of the errors: each names the argument, the cause and the fix."""

import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw

X = np.array([0.3, -0.7, 1.1], np.float32)
fun = lambda x: jnp.sum(jw.tag(x * 2, "hidden") ** 2)
ruled = jax.custom_jvp(lambda x: jnp.sum(jw.tag(x + 1, "step")))
ruled.defjvps(lambda dx, _, x: jnp.sum(dx))


def scoped(x):
    with jax.named_scope("outer"), jax.named_scope("inner"):
        x = x * 2
    return jnp.sum(x)


model = jw.chain(dense=lambda w, x: x @ w, act=jnp.tanh)
weights = np.eye(3, dtype=np.float32)


def added(x, y=0, *, scale):
    return jnp.sum(jw.tag(x * scale + y, "h"))


def looping(x):
    x = jax.lax.while_loop(lambda c: jnp.sum(c) < 9, lambda c: c * c + 1, x)
    return jnp.sum(jw.tag(x, "x"))


class Opaque:
    """No signature to read."""

    __signature__ = "none"

    def __call__(self, *args):
        return args[0]


CASES = {
    # the loss
    "shape": (lambda: jw.walk(lambda x: jw.tag(x, "a"))(X), "has shape (3,); sum or mean it, or `jax.vmap` the walk"),
    "complex": (
        lambda: jw.walk(lambda x: jw.tag(x.sum(), "a").astype("complex64"))(X),
        "dtype is complex64; take its real part",
    ),
    "integer": (lambda: jw.walk(lambda x: jw.tag(jnp.argmax(x), "a"))(X), "dtype is int32; make it a float"),
    "pair": (
        lambda: jw.walk(lambda x: (jw.tag(x.sum(), "a"), x))(X),
        "a tuple of 2; return the loss alone, or (loss, aux)",
    ),
    "no aux": (
        lambda: jw.walk(fun, has_aux=True)(X),
        "must return a pair (loss, aux); it returns one array of shape ()",
    ),
    # points
    "near": (lambda: jw.walk(fun, "hiden")(X), "`at='hiden'` matches no point. Near it: `hidden`."),
    "glob": (lambda: jw.walk(fun, "q*")(X), "`at='q*'` matches no point. There are: `hidden`."),
    "predicate": (
        lambda: jw.walk(fun, lambda p: False)(X),
        "`at` is a predicate that holds for none of the points `hidden`",
    ),
    "empty list": (lambda: jw.walk(fun, [])(X), "`at` is an empty list; leave it None for all points"),
    "at": (lambda: jw.walk(fun, 3)(X), "`at` is 3; it must be a name, a glob"),
    "none": (
        lambda: jw.walk(jnp.sum)(X),
        "The function has no points. There are three ways to get some: name values with `jw.tag(x, name)`",
    ),
    "no tags": (
        lambda: jw.walk(lambda x: jnp.sum(x), by="tags")(X),
        'has no points by="tags". There are three ways to get some',
    ),
    "by": (
        lambda: jw.points(fun, X, by="modules"),
        '`by` is \'modules\'; points come from "tags", "scopes" or "lines"',
    ),
    "source": (lambda: jw.walk(fun, by="lines", source=3), "`source` is 3; it must be a glob of files, a module"),
    "source of tags": (
        lambda: jw.walk(fun, by="tags", source="*"),
        '`source` says whose lines are points, but `by` is "tags"; leave it out, or use "lines"',
    ),
    "source beside tags": (
        lambda: jw.walk(fun, source="*/optax/*")(X),
        "`source` says whose lines are points, but `fun` has tags or scopes, which are the points then; leave it out,"
        ' or use `by="lines"`.',
    ),
    "source of a built-in": (
        lambda: jw.walk(fun, by="lines", source=sys),
        "`source` is the module `sys`, which has no file; give one that has, or a glob",
    ),
    "at of bytes": (lambda: jw.walk(fun, b"hidden")(X), "`at` is b'hidden'; it must be a name, a glob"),
    "at of NumPy": (lambda: jw.walk(fun, np.int64(3))(X), "`at` is np.int64(3); it must be a name, a glob"),
    "listing": (lambda: jw.listing(3), "`walk` is 3, which is no `Walk`; give what `jw.walk(fun)(...)` returns"),
    "opaque": (lambda: jw.walk(ruled, "step")(X), "`step`, which is opaque: it is inside a `jax.custom_jvp` function"),
    "all opaque": (lambda: jw.walk(ruled)(X), "Every point is opaque: `step`. `step` is inside a `jax.custom_jvp`"),
    "glob opaque": (lambda: jw.walk(ruled, "s*")(X), "Every point that `at='s*'` matches is opaque"),
    "fun": (lambda: jw.walk(3)(X), "`fun` is 3, which cannot be called"),
    # argnums
    "argnums": (
        lambda: jw.walk(fun, argnums=1)(X),
        "`argnums` names argument 1, but the function was called with 1 pos",
    ),
    "argnums int": (lambda: jw.walk(lambda x, i: fun(x), argnums=1)(X, 3), "`args[1]`, which is of dtype int32"),
    "argnums str": (lambda: jw.walk(lambda x, i: fun(x), argnums=1)(X, {"k": "s"}), "`args[1]['k']`, which is a str"),
    # keep
    "keep of one": (
        lambda: jw.walk(fun, keep=lambda o: o),
        "`keep` must take (output, delta), and what it takes is (o); give a function of these two",
    ),
    "keep of one, over data": (
        lambda: jw.evaluate(fun, X, [X], keep=abs),
        "`keep` must take (output, delta), and what it takes is (x, /); give a function of these two",
    ),
    "keep keys": (
        lambda: jw.walk(fun, keep=lambda o, d: {3: o.sum(), "3": d.sum()})(X),
        "What `keep` returned has a dict with the keys 3 and '3', which JAX cannot sort; give keys of one type.",
    ),
    "keep keys, over data": (
        lambda: jw.evaluate(lambda w, x: fun(x), X, [X[None]], keep=lambda o, d: {3: o.sum(), "3": d.sum()}),
        "What `keep` returned has a dict with the keys 3 and '3', which JAX cannot sort; give keys of one type.",
    ),
    "keep nothing": (lambda: jw.walk(fun, keep=lambda o, d: {})(X), "`keep` returned no array at `hidden`"),
    "keep integers": (
        lambda: jw.walk(lambda x: x[jw.tag(jnp.argmax(x), "i")], keep=lambda o, d: d)(X),
        "`keep` was given, but no value at `i` has a δ to keep; choose others by `at`. Why `i` has none: its dtype is"
        " int32: it has an output and no δ.",
    ),
    "kept deltas": (
        lambda: jw.walk(fun, keep=lambda o, d: d.sum())(X).deltas["hidden"],
        "With `keep`, the arrays do not",
    ),
    "kept culprits": (
        lambda: jw.walk(fun, keep=lambda o, d: d.sum())(X).culprits(1),
        "The walk holds no deltas. With `keep`",
    ),
    "not kept": (lambda: jw.walk(fun)(X).kept["hidden"], "`walk` was called without `keep`"),
    # arguments that are missing, or too many
    "nothing, points": (lambda: jw.points(added), "`fun` takes (x, y=0, *, scale), and was given 0 arguments; give it"),
    "missing, kinks": (lambda: jw.kinks(added, X), "`fun` takes (x, y=0, *, scale), and was given 1 argument; give it"),
    "missing, outputs": (lambda: jw.outputs(added)(X, X), "was given 2 arguments; give it what it takes."),
    "missing, vjp": (lambda: jw.vjp(added, X), "was given 1 argument; give it what it takes."),
    "missing, intervene": (lambda: jw.intervene(added, {"h": X})(X), "was given 1 argument; give it what it takes."),
    "too many": (lambda: jw.walk(added)(X, X, X, scale=1), "was given 3 arguments and `scale`; give it what it takes."),
    # the way back to the arguments
    "argnums behind a loop": (
        lambda: jw.walk(looping, argnums=0)(X),
        "`fun` cannot be differentiated by its arguments: the way back from the result leads through a `while_loop`,"
        " through which JAX has no derivative backward; use `lax.scan`, or `fori_loop` with static bounds, or",
    ),
    "arguments behind a loop": (lambda: jw.vjp(looping, X)[2](1.0), "`fun` cannot be differentiated by its arguments"),
    # arguments meant for what is returned, and functions of too few or too many
    "arguments of fun": (
        lambda: jw.walk(fun, X, X),
        "`jw.walk` was given 3 positional arguments; those of `fun` go to the function that it returns:"
        " `jw.walk(fun)(...)`",
    ),
    "arguments of fun, outputs": (lambda: jw.outputs(fun, X, X), "`jw.outputs(fun)(...)`"),
    "arguments of fun, intervene": (lambda: jw.intervene(fun, {"hidden": X}, X), "`jw.intervene(fun)(...)`"),
    "at array": (lambda: jw.walk(fun, X), "`at` is an array of shape (3,); it must be a name, a glob, a predicate on"),
    "at params": (lambda: jw.walk(fun, {"w": X}), "The arguments of `fun` go to what is returned: `jw.walk(fun)(...)`"),
    "at steps": (
        lambda: jw.walk(lambda x: jax.lax.scan(lambda c, y: (jw.tag(c * y, "hidden"), None), x[0], x)[0], "hid*[3]")(X),
        "`at='hid*[3]'` matches no point: one in a loop, as `hidden`, is there once for all steps; name that, and take"
        " from what is found the part of the step (`jw.intervene` alone changes one by itself).",
    ),
    "at entries": (lambda: jw.walk(fun, "hidden[3]")(X), "`at='hidden[3]'` matches no point. Near it: `hidden`."),
    # tags
    "tag text": (lambda: jw.tag("text", "name"), "`tag(x, 'name')`: `name` is a str, not an array"),
    "tag leaf": (lambda: jw.tag({"a": X, "b": len}, "n"), "`n/b` is a builtin_function_or_method, not an array"),
    "tag none": (lambda: jw.tag(None, "n"), "x holds no array (None)"),
    "tag name": (lambda: jw.tag(X, ""), "`name` is ''; it must be a string that is not empty"),
    "tag number": (lambda: jw.tag(X, 3), "`name` is 3; it must be a string"),
    # chains
    "no layers": (lambda: jw.chain(), "`chain` was given no layers"),
    "two names": (lambda: jw.chain(jnp.tanh, L1=jnp.tanh), "Two layers are named `L1`"),
    "input": (lambda: jw.chain(input=jnp.tanh), "cannot be named `input`"),
    "slash": (lambda: jw.chain(**{"a/b": jnp.tanh}), "cannot be named `a/b`: `/` divides"),
    "no arguments": (lambda: jw.chain(lambda: 0), "Layer `L1` can be called without arguments; a layer is f(x)"),
    "three arguments": (lambda: jw.chain(lambda a, b, c: 0), "Layer `L1` needs 3 arguments"),
    "any arguments": (lambda: jw.chain(lambda *args: 0), "Layer `L1` can be called without arguments"),
    "keyword argument": (lambda: jw.chain(f=lambda x, *, k: 0), "Layer `f` needs a keyword argument; fix it with"),
    "signature": (lambda: jw.chain(Opaque()), "Layer `L1` does not say what arguments it takes; wrap it in a lambda"),
    "not callable": (
        lambda: jw.chain(dense=weights),
        "Layer `dense` is an array of shape (3, 3), which cannot be called",
    ),
    "unknown layer": (
        lambda: model({"dense": weights, "dens": 1}, X),
        "weights for `dens`, which is no layer. Near it: `d",
    ),
    "weightless layer": (
        lambda: model({"dense": weights, "act": 1}, X),
        "weights for `act`, a layer f(x) that takes none",
    ),
    "missing weights": (lambda: model({}, X), "`params` lacks the weights of `dense`; add them under that name"),
    "params": (lambda: model(weights, X), "`params` is an array of shape (3, 3); it must be {layer name: weights}"),
    "nested": (lambda: jw.chain(enc=model)({"enc": {}}, X), "`params['enc']` lacks the weights of `dense`"),
    "loss of one": (
        lambda: jw.objective(model, lambda o: o.sum()),
        "`loss` must take (output, expectation), and what it takes is (o); give a function of these two.",
    ),
    "model of three": (
        lambda: jw.objective(lambda a, b, c: a, jnp.add),
        "`model` must take (params, x), and what it takes is (a, b, c); give a function of these two.",
    ),
    "loss function": (lambda: jw.objective(model, 3), "`loss` is 3, which cannot be called"),
    "model function": (lambda: jw.objective(None, model), "`model` is None, which cannot be called"),
    # edits
    "edit shape": (
        lambda: jw.intervene(fun, {"hidden": X[:2]})(X),
        "`hidden` has shape (2,); the value there has shape (3,)",
    ),
    "edit scalar": (
        lambda: jw.intervene(fun, {"hidden": 0.0})(X),
        "`hidden` has shape (); the value there has shape (3,)",
    ),
    "edit dtype": (
        lambda: jw.intervene(fun, {"hidden": lambda v: v.astype("float16")})(X),
        "has dtype float16; the value there has dtype float32; cast it with `.astype('float32')`",
    ),
    "edit of two": (
        lambda: jw.intervene(fun, {"hidden": lambda a, b: a})(X),
        "The edit of `hidden` must take (value), and what it takes is (a, b); give a function of this one, and one of"
        " (output, delta) to `deltas`.",
    ),
    "rule of one": (
        lambda: jax.grad(jw.intervene(fun, {}, deltas={"hidden": lambda d: d}))(X),
        "The rule in `deltas` for `hidden` must take (output, delta), and what it takes is (d); give a function of",
    ),
    "edit name": (
        lambda: jw.intervene(fun, {"hide": X})(X),
        "`edits` names `hide`, but there is no such point. Near it: `h",
    ),
    "edit opaque": (lambda: jw.intervene(ruled, {"step": X})(X), "`edits` names `step`, which is opaque"),
    "no edits": (lambda: jw.intervene(fun, {}), "`edits` is {}; it must be a mapping"),
    "edits": (lambda: jw.intervene(fun, X), "`edits` is an array of shape (3,); it must be a mapping from point names"),
    # what a walk is asked
    "move shape": (
        lambda: jw.walk(fun)(X).predict({"hidden": X[:2]}),
        "`hidden` has shape (2,), but δ there has shape (3,)",
    ),
    "move name": (lambda: jw.walk(fun)(X).predict({"hide": X}), "There is no `hide` here. Near it: `hidden`."),
    "move complex": (lambda: jw.walk(fun)(X).predict({"hidden": X * 1j}), "The move of `hidden` is complex"),
    "no moves": (
        lambda: jw.walk(fun)(X).predict({}),
        "`moves` is {}; it must be a mapping from point names to arrays, with at least one",
    ),
    "k": (lambda: jw.walk(fun)(X).culprits(0), "`k` is 0; it must be an integer of at least 1"),
    "traced culprits": (
        lambda: jax.jit(lambda x: jw.walk(fun)(x).culprits(1)[0].delta)(X),
        "`Walk.culprits` needs numbers, and the walk is being traced",
    ),
    "traced nonfinite": (
        lambda: jax.jit(lambda x: jw.walk(fun)(x).first_nonfinite())(X),
        "`Walk.first_nonfinite` needs numbers",
    ),
    "argnums float": (lambda: jw.walk(fun, argnums=1.0)(X), "`argnums` is 1.0; it must be an integer or several"),
    "result": (lambda: jw.outputs(lambda x: {"a": fun(x), "b": "text"})(X), "`fun` returns 'text' at `result['b']`"),
    "keep": (lambda: jw.walk(fun, keep=5), "`keep` is 5; it must be a function (output, delta) -> arrays"),
    "keep text": (
        lambda: jw.walk(fun, keep=lambda o, d: "a")(X),
        "`keep` returned 'a' at `hidden`, which is not an array",
    ),
    "edit key": (lambda: jw.intervene(fun, {3: 0.0}), "`edits` has the key 3; the keys are names of points"),
    "one value twice": (
        lambda: jw.intervene(scoped, {"outer": X, "outer/inner": X}, by="scopes")(X),
        "`edits` names `outer` and `outer/inner`, which are two names of one value; edit it once",
    ),
    "edit none": (
        lambda: jw.intervene(fun, {"hidden": None})(X),
        "The edit of `hidden` is None, which is not an array",
    ),
    "edit text": (
        lambda: jw.intervene(fun, {"hidden": lambda v: "a"})(X),
        "The edit of `hidden` is 'a', which is not an",
    ),
    "moves": (lambda: jw.walk(fun)(X).predict(3), "`moves` is 3; it must be a mapping"),
    "moves none": (lambda: jw.walk(fun)(X).predict(None), "`moves` is None; it must be a mapping"),
    "move text": (
        lambda: jw.walk(fun)(X).predict({"hidden": "a"}),
        "The move of `hidden` is 'a', which is not an array",
    ),
    "out_axes": (
        lambda: jax.vmap(jw.walk(fun), out_axes=-1)(np.ones((2, 3), np.float32)).predict({"hidden": np.ones((3, 2))}),
        "δ of `hidden` has shape (3, 2), which is not that of the loss, (2,), and of the point, (3,)",
    ),
    "integer culprits": (
        lambda: jw.walk(lambda x: x[jw.tag(jnp.argmax(x), "i")])(X).culprits(1),
        "The walk holds no deltas",
    ),
    "structured": (
        lambda: jw.walk(fun)(np.zeros(3, [("a", "f4")])),
        "An array has dtype [('a', '<f4')], which JAX does not have; give numbers of one that it has.",
    ),
    "objects": (
        lambda: jw.kinks(jax.nn.relu, np.array([None])),
        "An array has dtype object, which JAX does not have; give numbers of one that it has.",
    ),
    "vjp": (lambda: jw.vjp(fun, "text"), "`args[0]` is a str, not an array"),
    # scoped
    "scoped": (
        lambda: jw.scoped(jnp.tanh),
        "`jw.scoped` names modules of Equinox and Flax NNX; Flax linen and Haiku modules open scopes by themselves,"
        " and elsewhere wrap code in `jax.named_scope(name)`.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case):
    attempt, text = CASES[case]
    with pytest.raises(jw.JaxwalkError, match=re.escape(text)) as caught:
        attempt()
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("  ") == 0


def choosing(params, x, *, scale):
    return jnp.sum(jw.tag(x, "x")) if scale > params["w"] else 0.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: jw.walk(choosing)({"n": "relu", "w": np.float32(1)}, X, scale=np.float32(2)),
        lambda: jw.walk(jax.jit(choosing))({"n": None, "w": np.float32(1)}, X, scale=np.float32(2)),
    ],
)
def test_what_jax_says_names_the_function_and_its_arguments(call):
    line = choosing.__code__.co_firstlineno
    said = rf"function choosing at .*test_messages\.py:{line} .*of the arguments params\['w'\] and scale\."
    with pytest.raises(jax.errors.TracerBoolConversionError, match=said) as caught:
        call()
    (note,) = [note for note in caught.value.__notes__ if note.startswith("jaxwalk")]
    assert "in place of Python's `if` write `jnp.where` or `jax.lax.cond`" in note


def test_what_a_function_raises_of_its_own_arguments_comes_through():
    inner = lambda x, y: x
    with pytest.raises(TypeError, match="missing 1 required") as caught:
        jw.walk(lambda x: inner(x))(X)
    assert not isinstance(caught.value, jw.JaxwalkError)


def test_errors_are_also_the_usual_kinds():
    with pytest.raises(TypeError):
        jw.walk(lambda x: jw.tag(x, "a"))(X)
    with pytest.raises(ValueError, match="shape"):
        jw.intervene(fun, {"hidden": X[:2]})(X)
    with pytest.raises(LookupError):
        jw.walk(fun, "hiden")(X)
    with pytest.raises(KeyError):
        jw.walk(fun)(X).deltas["hiden"]
