"""What a program decides, and by how much: rules, margins, what is selected, what cancels."""
