"""What JAX is: the only folder that knows a version of JAX, or what the parameters of a primitive are called."""
