"""Which values there are: named values, and those that leave a scope or a line of source."""
