"""Importing jaxwalk and every transform need jax and optax alone."""

import subprocess
import sys

import pytest

BLOCKED = """
import sys

class Only:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {
            "rich", "matplotlib", "sympy", "pyarrow", "pandas", "treescope", "flax", "equinox", "IPython"
        }:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Only())
"""

TRANSFORMS = """
import jax, jax.numpy as jnp, jaxwalk as jw
fun = lambda x: jnp.sum(jw.chain(lambda x: 2 * x)({}, x))
x = jnp.ones(3)
walk = jax.jit(jw.walk(fun))(x)
print(jw.points(fun, x), walk, walk._repr_html_(), walk.culprits(2), walk.deltas)
jw.evaluate(lambda p, x: fun(x), {}, [jnp.ones((2, 3))], keep=jw.stats.dead)
jw.outputs(fun)(x), jw.vjp(fun, x), jw.intervene(fun, {"L1": x})(x), jw.walk(fun, keep=lambda o, d: d.sum())(x)
"""


def run(code):
    return subprocess.run([sys.executable, "-c", BLOCKED + code], capture_output=True, text=True, check=False)


def test_import_and_transforms_need_no_rich():
    done = run(TRANSFORMS)
    assert done.returncode == 0, done.stderr


@pytest.mark.once
def test_printing_tables_says_that_it_needs_rich():
    done = run("from jaxwalk.__main__ import main\nsys.exit(main([]))")
    assert done.returncode == 2
    assert "needs the package `rich`; install it, or ask for `--json`" in done.stderr
    assert run("from jaxwalk.__main__ import main\nsys.exit(main(['--json']))").returncode == 0


@pytest.mark.once
def test_nothing_of_jax_is_imported_but_its_public_api():
    import ast
    import pathlib

    import jaxwalk

    for path in pathlib.Path(jaxwalk.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith("jax._src") for name in names), path


@pytest.mark.once
def test_without_sympy_the_main_job_says_what_to_install():
    blocked = BLOCKED.replace('"rich", ', "")
    done = subprocess.run(
        [sys.executable, "-c", blocked + "from jaxwalk.__main__ import main\nsys.exit(main([]))"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = " ".join(done.stdout.split())
    assert "Formulas need SymPy, the extra `formula`: `uv sync --extra formula`, or `pip install 'PATH[" in out
    assert "The data: broccoli, Tagada strawberries, workout per year" in done.stdout


@pytest.mark.once
def test_what_needs_no_sympy():
    code = """
import jax, jax.numpy as jnp, jaxwalk as jw
model = jw.chain(lambda w, x: w @ x)
print(jw.formulas(model, lambda o, y: jnp.sum(o * y), {"L1": jnp.ones((2, 2))}, jnp.ones(2), jnp.ones(2)))
assert jw.exact(jnp.sum)(jnp.ones(3)) == 3
try:
    jw.formula(jnp.sin, jnp.ones(()))
except jw.FormulaError as error:
    assert "pip install 'PATH[formula]'" in str(error)
else:
    raise AssertionError
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.once
def test_contributing_shows_the_house():
    """Every folder, with the sentence that its `__init__` begins with."""
    import ast
    import pathlib

    import jaxwalk

    house = pathlib.Path(jaxwalk.__file__).parent
    text = (house.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for init in house.glob("*/**/__init__.py"):
        sentence = (ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or "").splitlines()[0]
        folder = f"{init.parent.relative_to(house).as_posix()}/"
        assert any(line.split(maxsplit=1) == [folder, sentence] for line in text.splitlines()), folder
