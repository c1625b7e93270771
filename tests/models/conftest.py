"""What the libraries ask of JAX beyond what the rest of the tests does."""

import jax
import pytest


@pytest.fixture
def relaxed():
    """They promote dtypes and ranks in places of their own."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
