"""One file per forge: how it opens a pull request, once."""
