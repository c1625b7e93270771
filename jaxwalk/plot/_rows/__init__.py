"""Pictures with points as rows: the rows and their names, the scales below them, and the words around them."""
