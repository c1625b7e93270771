"""What a walk refuses, or warns of, in a sentence: a loss that is none, arrays too large, a way back that is barred."""
