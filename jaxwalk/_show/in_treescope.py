"""Shows what was found as a tree in treescope, where that is what a notebook shows objects with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .._optional import treescope
from .._printable import printable


class Item(NamedTuple):
    """A line of a tree.

    Attributes:
        label: what is before the value.
        value: an object that treescope shows, or items that are folded into this one.
        path: what follows the name of the whole object, to get at the value: ".outputs['h']"; "" if nothing does.
    """

    label: str
    value: Any | tuple[Item, ...]
    path: str = ""


def rendering(of: type, items: Sequence[Item], path: str | None, render: Callable[..., Any]) -> Any:
    """Return what `__treescope_repr__` returns: the name of a type, and its items in the order in which they are given.

    Arrays are shown as heat maps, if the user has not chosen what else is shown in their place.

    Arguments:
        path, render: what treescope gives to `__treescope_repr__`.
    """
    api = treescope("treescope")
    chosen = api.active_autovisualizer.get() or api.ArrayAutovisualizer()
    with api.active_autovisualizer.set_scoped(chosen):
        return _folded(f"{of.__name__}(", items, ")", path, path, render, "EXPANDED")


def _folded(
    first: str, items: Sequence[Item], last: str, path: str | None, whole: str | None, render: Callable[..., Any],
    state: str,
) -> Any:  # fmt: skip
    parts = treescope("treescope.rendering_parts")
    lines = []
    for item in items:
        label = printable(item.label)
        to = f"{whole}{item.path}" if whole is not None and item.path else None
        if isinstance(item.value, tuple) and all(isinstance(each, Item) for each in item.value):
            lines.append(_folded(f"{label}(", item.value, ")", to, whole, render, "WEAKLY_COLLAPSED"))
        elif isinstance(item.value, str):
            lines.append(parts.siblings(parts.text(label), parts.comment_color(parts.text(printable(item.value)))))
        else:
            lines.append(parts.siblings_with_annotations(parts.text(label), render(item.value, path=to)))
    return parts.build_foldable_tree_node_from_children(
        first, lines, last, comma_separated=True, path=path, expand_state=parts.ExpandState[state]
    )
