"""Pictures with points as rows: the rows and their names, the scales below them, and the words around them."""

from .rows import figure_height as figure_height
from .rows import rows_of as rows_of
