"""Approves and signs CertificateSigningRequests with the cluster CA, and clears old ones away."""
