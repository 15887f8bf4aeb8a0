"""How a machine joins a cluster: finding it, trusting it, getting certificates from it, and keeping them good."""
