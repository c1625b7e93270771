"""What rounding decides: which relu, `where`, `max` ... stands on its threshold."""
