"""No dtype or rank is promoted without a word, as far as the tests reach; and there are devices to shard over."""

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 4)


def pytest_configure(config):
    """Equinox asks jax before 0.9 for two names that this jax deprecates."""
    config.addinivalue_line("filterwarnings", r"ignore:jax.core.(un)?mapped_aval is deprecated:DeprecationWarning")


@pytest.fixture
def float64():
    """Derivatives are checked in float64."""
    with jax.enable_x64(True):
        yield
