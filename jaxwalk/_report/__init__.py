"""One page, complete in itself, of what a walk or an evaluation found."""
