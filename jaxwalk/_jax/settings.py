"""The settings of JAX and XLA that change numbers, and that a traced program does not show."""

from __future__ import annotations

import os
import re
from importlib import metadata

import jax

OF_JAX = (
    "jax_allow_f16_reductions",
    "jax_bcoo_cusparse_lowering",
    "jax_compiler_enable_remat_pass",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_disable_jit",
    "jax_disable_most_optimizations",
    "jax_enable_x64",
    "jax_exec_time_optimization_effort",
    "jax_high_dynamic_range_gumbel",
    "jax_memory_fitting_effort",
    "jax_memory_fitting_level",
    "jax_numpy_dtype_promotion",
    "jax_optimization_level",
    "jax_ragged_dot_use_gpu_pallas_triton_lowering",
    "jax_ragged_dot_use_ragged_dot_instruction",
    "jax_random_seed_offset",
    "jax_softmax_custom_jvp",
    "jax_threefry_partitionable",
    "jax_use_magma",
    "jax_use_shardy_partitioner",
    "jax_xla_profile_version",
)
"""Names in `jax.config`; a version of JAX may lack some."""

OF_THE_ENVIRONMENT = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE")

HARMLESS = r"--xla_(force_host_platform_device_count|dump_|hlo_profile|gpu_(dump|load|per_fusion)_)"
"""How the flags of XLA begin that change no number: how many devices there are, what is written down."""


def settings() -> dict[str, str]:
    """Return the value of each setting that may change what a program computes, and the versions that compute it."""
    versions = {name: metadata.version(name) for name in ("jax", "jaxlib")}
    known = jax.config.values
    values = {name: _text(getattr(jax.config, name, known[name])) for name in OF_JAX if name in known}
    return versions | values | {name: _flags(os.environ.get(name, "")) or "none" for name in OF_THE_ENVIRONMENT}


def _text(value: object) -> str:
    return str(getattr(value, "value", value))  # of an enum, the value


def _flags(text: str) -> str:
    return " ".join(sorted(flag for flag in text.split() if not re.match(HARMLESS, flag)))
