"""hack/demo: good versions are promoted and bad ones rolled back, on a real cluster."""
