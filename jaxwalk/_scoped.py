"""Where pickles of scoped models look that are older than `_model/scoped.py`."""

from ._model.scoped import _Origin as _Origin
from ._model.scoped import _remade as _remade
