import pytest

from jaxwalk._formulas.notation.names import Name, escaped

pytestmark = pytest.mark.once

SPECIAL = r"a_b&c%d#e$f{g}h~i^j\k <l>" + "\x1b"


def test_every_character_of_a_name_stands_for_itself_in_tex():
    assert escaped(SPECIAL) == (r"a\_b\&c\%d\#e\$f\{g\}h\sim i\hat{\ }j\backslash k\ {<}l{>}\backslash x1b")
    assert escaped("größe") == "größe"
    assert Name("%", 2).latex() == r"\mathrm{\%}^{2}"
    assert Name("w", 2, path=".^").latex() == r"w^{2}\mathrm{.\hat{\ }}"
