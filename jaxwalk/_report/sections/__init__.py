"""The parts of the page, a function each: a record in, a section out, or None where there is nothing to tell."""
