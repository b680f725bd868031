"""The two kinds of machine that images are released for, by the names that each registry has for them."""

from dataclasses import dataclass

from hack.node.architecture import architecture


@dataclass(frozen=True, kw_only=True)
class Machine:
    architecture: str
    """OCI's name and Debian's; they are the same for both."""
    triplet: str
    """In the names of Debian's library folders and of Python's extension modules."""
    elf: str
    """`e_machine` of each program and library."""
    wheels: str
    """uv's name of the platform. glibc 2.36 is that of the base image, Debian 12."""
    variant: str = ""

    def platform(self) -> dict[str, str]:
        """As an image index states it."""
        stated = {"architecture": self.architecture, "os": "linux"}
        return stated | ({"variant": self.variant} if self.variant else {})


AMD64 = Machine(architecture="amd64", triplet="x86_64-linux-gnu", elf="EM_X86_64", wheels="x86_64-manylinux_2_36")
ARM64 = Machine(
    architecture="arm64",
    triplet="aarch64-linux-gnu",
    elf="EM_AARCH64",
    wheels="aarch64-manylinux_2_36",
    variant="v8",
)
_RELEASED = {machine.architecture: machine for machine in (AMD64, ARM64)}


def here() -> Machine:
    """This machine; KeyError on one that no image is released for."""
    return _RELEASED[architecture()]


def other(machine: Machine) -> Machine:
    return ARM64 if machine == AMD64 else AMD64
