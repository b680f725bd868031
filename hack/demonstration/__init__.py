"""hack/demo: a good version is promoted and a bad one rolled back, on a real cluster."""
