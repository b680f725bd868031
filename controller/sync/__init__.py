"""`pointsman sync`: applies the manifests of git repositories, each with the rights of a ServiceAccount."""
