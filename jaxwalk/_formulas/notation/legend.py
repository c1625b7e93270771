"""What a reader of formulas must know of their signs: said below them, of the signs that occur."""

from __future__ import annotations

import re
from collections.abc import Iterator

SIGNS = {
    r"⊙": "⊙ multiplies entry by entry",
    r"ᵀ": "ᵀ swaps the last two axes",
    r"1\[": "1[…] is 1 where it holds and 0 elsewhere",
    r"\bMod\(": "Mod(a, b) is what is left of a when multiples of b are taken away",
    r"\bundefined\b": "undefined: the function meets a NaN or an infinity there, and what it makes of it is not told",
    r"\b(float\d+|bfloat16|float\d\w+)\(": "float32(…), bfloat16(…) …: as the nearest number that this type has",
    r"\bu?int\d+\(": "uint8(…), int16(…) …: modulo the number of integers that this type has",
}
AXES = {r"[^C₀-₉,][₀-₉]|einsum|concat": "axes are counted from 0"}  # of tensors; of entries, these are their indices
CONVOLUTION = {
    r"\bconv\(": "conv(A, B; a,b→c) slides B as it is, not turned round, along the axes of A whose letters a, b and c"
    " share, and sums the products: over B's places along these, and over the letters that c lacks",
    r"\d groups of ": "groups: these axes are cut into equal parts, part i of A meets part i of B, and the results are"
    " put one behind the other",
    r"\bflip[₀-₉]": "flip turns the order along these axes round",
}
POOLING = {
    r"\bmaxpool[₀-₉]": "maxpool is the largest entry of each window along these axes",
    r"\bminpool[₀-₉]": "minpool is the smallest entry of each window along these axes",
    r"\bsumpool[₀-₉]": "sumpool is the sum of each window along these axes",
    r"\bavgpool[₀-₉]": "avgpool is the mean of each window along these axes, its padding counted",
    r"\bmaxunpool[₀-₉]": "maxunpool(δ, X) adds each δ at the largest entry of its window of X, the first of equals",
    r"\bminunpool[₀-₉]": "minunpool(δ, X) adds each δ at the smallest entry of its window of X, the first of equals",
    r"\bsumunpool[₀-₉]": "sumunpool(δ) adds each δ to all places of its window",
    r"\bavgunpool[₀-₉]": "avgunpool(δ) adds an equal share of each δ to all places of its window",
    r"unpool[₀-₉]": "windows of an unpool are those of the pool that it leads back through",
    r"pool[₀-₉]": "where no stride is given, windows lie side by side",
}
SLIDING = {
    r"[;,] stride \d": "stride s: windows start s apart",
    r"[;,] padding \W*\d": "padding p: p zeros on either side (infinities, in the pool of max or min), (a,b): a before"
    " and b behind, of a number below 0: taken away",
    r"\bpad[₀-₉]": "pad puts zeros, or the value given, on either side, (a,b): a before and b behind, of a number below"
    " 0: takes away",
    r"[;,] dilation \d": "dilation d: the places of a window are d apart",
    r"[;,] input dilation \d": "input dilation d: d − 1 entries of padding between those of the first operand",
    r"×": "m×n: m along the first axis, n along the second",
}


def legend(text: str, grain: str) -> Iterator[str]:
    """Yield lines that say what the signs in a text of this grain mean."""
    for signs in (SIGNS | AXES if grain == "tensors" else SIGNS, CONVOLUTION, POOLING, SLIDING):
        if meanings := [meaning for pattern, meaning in signs.items() if re.search(pattern, text)]:
            yield "; ".join(meanings) + "."
