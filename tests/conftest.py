"""No dtype or rank is promoted without a word, as far as the tests reach; and there are devices to shard over."""

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 4)


@pytest.fixture
def float64():
    """Derivatives are checked in float64."""
    with jax.enable_x64(True):
        yield
