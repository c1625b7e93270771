"""The function again, with something done at chosen points."""
