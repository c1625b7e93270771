"""No dtype or rank is promoted without a word, as far as the tests reach; and there are devices to shard over.

What one test has compiled, no other compiles again, nor do the processes that tests start: a run has one cache.

What is compiled here runs once, on a few numbers, and compiling took most of the time; so XLA does it in a hurry,
unless `XLA_FLAGS` is set, also to nothing: .ci/run has some of the tests compiled as a user's program is.

`JAXWALK_SHARE=2/3` runs of every test with several cases the second third of them, and of the other tests of each file
every second, and `1/3` those between: on a further version of JAX, what a file is about is looked at, though not with
every case.
"""

import collections
import gc
import importlib.metadata
import itertools
import os
import signal
import tempfile

# Before JAX is imported, which reads them; the workers of xdist inherit them.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    CACHE = tempfile.TemporaryDirectory(prefix="jaxwalk-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
if "XLA_FLAGS" not in os.environ:
    HURRIED = (
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        " --xla_cpu_parallel_codegen_split_count=1"
    )
    # The emitters of fusions set up a compiler of their own, also for the smallest of programs. 0.12 does not know the
    # flag, and an unknown one ends the process.
    OLDER = tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11)
    os.environ["XLA_FLAGS"] = f"{HURRIED} --xla_cpu_use_fusion_emitters=false" if OLDER else HURRIED

import jax
import pytest

pytest.register_assert_rewrite("oracle")

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 4)

# Tracing makes many objects, few of them in cycles: looking for these took 7 % of the time.
gc.set_threshold(100_000, 50, 1000)


def pytest_configure(config):
    """Equinox asks jax before 0.9 for two names that this jax deprecates, and treescope NumPy for one of NumPy's.

    What one worker is writing to the cache of compiled programs, JAX cannot read in another yet, and compiles again.
    """
    config.addinivalue_line("filterwarnings", r"ignore:jax.core.(un)?mapped_aval is deprecated:DeprecationWarning")
    config.addinivalue_line("filterwarnings", r"ignore:Error reading persistent compilation cache entry:UserWarning")
    config.addinivalue_line("filterwarnings", r"ignore:The chararray class is deprecated:DeprecationWarning")


FINISHED = itertools.count(1)


def pytest_runtest_teardown(item):
    """Let go of programs: the more of them JAX holds, the longer it takes to lower another, up to twice as long."""
    if next(FINISHED) % 100 == 0:
        jax.clear_caches()


@pytest.hookimpl(trylast=True)  # once what `-m` leaves out is left out
def pytest_collection_modifyitems(config, items):
    share = os.environ.get("JAXWALK_SHARE")
    if share:
        chosen = list(shared(items, *map(int, share.split("/"))))
        config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
        items[:] = chosen


def shared(items, which, of):
    """Of each test with several cases one of so many parts; of the tests of a file with one case, every second."""
    test = lambda item: item.nodeid.partition("[")[0]
    cases = collections.Counter(map(test, items))
    group = lambda item: test(item) if cases[test(item)] > 1 else item.nodeid.partition("::")[0]
    sizes, met = collections.Counter(map(group, items)), collections.Counter()
    for item in items:
        parts = min(sizes[group(item)], of if cases[test(item)] > 1 else 2)
        if met[group(item)] % parts == (which - 1) % parts:
            yield item
        met[group(item)] += 1


# A shell has what it starts in the background ignore Ctrl-C, and so what that starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def float64():
    """Derivatives are checked in float64."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    """What shows itself is as wide as it likes, whatever terminal runs the tests; those of its width give one."""
    monkeypatch.setenv("COLUMNS", "500")
