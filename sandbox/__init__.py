"""Both worlds on one laptop, from a package index alone."""
