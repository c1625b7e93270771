"""How a term of tensors is written: text, LaTeX, NumPy."""
