"""An evaluation on disk, part by part, which a killed run leaves whole."""
