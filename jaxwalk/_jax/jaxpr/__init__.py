"""What a traced program is made of: its equations, their kinds and parameters, the types of its values."""
