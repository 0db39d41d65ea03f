"""One module per product: its variants, and the configuration that makes it do the work. Repair what we set up badly."""
