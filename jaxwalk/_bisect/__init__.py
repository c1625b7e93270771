"""The equation that makes a NaN or an Inf, forward or backward."""
