"""What kind of processor this machine has, by the name that registries know."""

import platform

_OCI = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture(machine: str = platform.machine()) -> str:
    """OCI's name, which is also Debian's, of what the kernel calls `machine`; the kernel's own where both have one."""
    return _OCI.get(machine, machine)
