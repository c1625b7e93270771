"""The public API is a contract: every name, signature, field and public member is as `api.txt` lists it.

After a change that is meant: `PYTHONPATH=. python tests/whole/test_api.py > tests/whole/api.txt`.
"""

import inspect
import typing
from pathlib import Path

import pytest

import jaxwalk as jw

LISTED = Path(__file__).with_name("api.txt")


def listed():
    """A line per public name, and below a class one per public member of jaxwalk's own."""
    for space, module in (("jw", jw), ("jw.plot", jw.plot), ("jw.stats", jw.stats)):
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if inspect.isclass(value):
                yield f"{space}.{name}({', '.join(bases(value))}) {', '.join(fields(value))}".rstrip()
                yield from map("    {}".format, members(value))
            else:
                yield f"{space}.{name}{signature(value) or ': ' + type(value).__name__}"


def bases(cls):
    return [base.__name__ for base in cls.__mro__[1:-1] if base.__name__ not in ("Generic", "Collection", "Container")]


def fields(cls):
    return tuple(getattr(cls, "_fields", None) or getattr(cls, "__dataclass_fields__", ()))


def members(cls):
    for name in sorted(dir(cls)):
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if not name.startswith("_") and owner.__module__.startswith("jaxwalk") and name not in fields(cls):
            value = inspect.getattr_static(cls, name)
            yield f".{name}{'' if isinstance(value, property) else signature(getattr(cls, name))}"


def signature(value):
    if typing.get_origin(value) is not None:  # a type alias, which has one on some versions of Python
        return ""
    return str(inspect.signature(value)) if callable(value) else ""


@pytest.mark.once
def test_it_is_as_it_was():
    assert list(listed()) == LISTED.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("module", [jw, jw.stats])
def test_public_types_are_of_the_public_module_and_their_annotations_can_be_resolved(module):
    for value in (getattr(module, name) for name in module.__all__):
        if inspect.isclass(value) and value.__module__ != "types":
            assert value.__module__ == module.__name__
            typing.get_type_hints(value)


if __name__ == "__main__":
    print("\n".join(listed()))
