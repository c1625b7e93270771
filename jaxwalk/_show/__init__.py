"""How things look: tables, outlines, progress, the terminal."""
