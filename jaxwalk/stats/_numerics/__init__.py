"""Numbers that neither under- nor overflow: sums, norms and moments of an array, a quick way and a careful one."""
