"""The `panal` command: it starts, shows and ends clusters; it knows the parts only as module names."""
