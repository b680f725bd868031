"""What a person is told when something cannot be done."""


class TroubleError(Exception):
    """One sentence that names the thing and the way out; the command line prints it without a traceback."""
