"""What an evaluation found: shown, saved and loaded."""
