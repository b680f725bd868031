"""Reading and writing the repositories that hold the manifests of Releases."""
