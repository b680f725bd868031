"""What holds for every tier."""

import asyncio


def pytest_configure():
    """Else pytest-asyncio, looking for the loop to restore after its first test, makes one that nobody closes; the
    next command that a test runs drops it, and its ResourceWarning fails whichever test comes then.
    """
    asyncio.set_event_loop(None)
