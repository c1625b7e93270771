"""What is computed, written down: symbols, exact numbers, and a chain as a textbook has it."""
