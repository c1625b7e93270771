"""Methods of one walk with another backward rule."""
