"""Says which addresses serve each Service, in slices."""
