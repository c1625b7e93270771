"""The command line: `jaxwalk`, the worked example, and `jaxwalk walk`, a model and data of the user's own."""
