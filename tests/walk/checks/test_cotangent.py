"""A cotangent that does not fit is refused with a sentence, and none of JAX's about what is inside jaxwalk."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw

X = np.ones(3, np.float32)
_, _, PULL = jw.vjp(lambda x: jw.tag(x * 2, "twice"), X)
_, _, PULL_TREE = jw.vjp(lambda x: {"a": jw.tag(x * 2, "twice"), "i": jnp.argmax(x)}, X)
ZERO = np.zeros((), np.int32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PULL({"a": X}), "The cotangent is {'a': *}, and the value one array; give one of the structure"),
        (lambda: PULL(X[:2]), "The cotangent has shape (2,), and the value (3,); give it that shape"),
        (lambda: PULL(1.0), "The cotangent has shape (), and the value (3,); give it that shape"),
        (lambda: PULL("x"), "The cotangent is 'x', which is not an array; give one."),
        (lambda: PULL(X.astype(int)), "The cotangent has dtype int32, and the value float32; cast it with"),
        (lambda: PULL_TREE({"a": X[:1], "i": ZERO}), "The cotangent of `value['a']` has shape (1,)"),
        (lambda: PULL_TREE({"a": X}), "The cotangent is {'a': *}, and the value {'a': *, 'i': *};"),
    ],
)
def test_refused(call, message):
    with pytest.raises(jw.ArgumentError) as caught:
        call()
    assert message in str(caught.value)


def test_one_that_fits():
    assert PULL(X)[0]["twice"].tolist() == [1, 1, 1]
