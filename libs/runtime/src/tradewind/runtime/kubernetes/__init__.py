"""Writes the Kubernetes manifests of a profile from the templates of the service folders; needs the extra ``k8s``."""
