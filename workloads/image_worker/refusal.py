"""What a job asks for and cannot have, in one sentence that names the field."""


class BadJobError(ValueError):
    """Trying again is of no use."""


class NoSuchKindError(BadJobError):
    """This version has no such kind; another may."""
