"""What the sample images of Kubernetes' tutorials do, so that their manifests run as they are written."""
