"""What can be wrong: one rule a file, or a few that are one idea."""
