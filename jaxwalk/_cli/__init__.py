"""The command line: `jaxwalk` and `jaxwalk learn`, the worked example, and `jaxwalk walk`, your own model."""
