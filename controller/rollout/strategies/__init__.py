"""How a new version comes out, one file each: a strategy compiles to steps, and says how many pods a weight needs."""
