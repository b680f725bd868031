"""The Rust library within InfluxDB and Kapacitor, which a pkg-config of theirs has cargo compile.

It lies in a folder that goes once the program is built (1 GB). Go remembers the library's path but not its content, so
each folder has a name of its own for Go, by which what was compiled against another one is not taken again.
"""

import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from hack.node import paths
from hack.node.trouble import TroubleError

PACKAGE = "github.com/influxdata/flux/libflux/go/libflux"
"""Who is linked with it."""
C_FLAGS = "-O1"
"""SQLite holds little in any of these programs, and takes half the time to compile."""
_MACROS = (
    "derivative",
    "derive_more",
    "proc-macro2",
    "quote",
    "salsa-macros",
    "serde_derive",
    "structopt-derive",
    "syn",
    "thiserror-impl",
)
"""They run within the compiler, once."""
_PROFILE = {
    "lto": '"off"',
    "opt-level": "1",
    "codegen-units": "16",
    # as above: a program that makes a part of the library is linked with the rest of it, which is compiled once
    "build-override.opt-level": "1",
    "build-override.codegen-units": "16",
    **{f"package.{name}.opt-level": "0" for name in _MACROS},
}
"""The library's own asks for the smallest code, optimized as a whole, three times over: minutes more."""


def folder(module: str) -> Path:
    return paths.cache() / "libflux" / module


def check(name: str) -> None:
    """Raises TroubleError where the machine lacks what the program called `name` is built with."""
    for needed, package in (
        ("cc", "gcc"),
        ("cargo", "rustup, then `rustup default stable`"),
        ("pkg-config", "pkg-config"),
    ):
        require(needed, of=name, package=package)


def require(needed: str, *, of: str, package: str) -> None:
    """Raises TroubleError where `needed` is not on PATH."""
    if shutil.which(needed) is None:
        raise TroubleError(f"building {of} needs {needed}, which is not on PATH: install {package} and run it again.")


def drop_interrupted_copies(place: Path) -> None:
    """The helper takes any copy of the library's source for a whole one; cargo makes `target` in one that is."""
    for copy in (place / "cargo" / "pkgconfig").glob("github.com/*/flux@*"):
        if not (copy / "libflux" / "target").exists():
            shutil.rmtree(copy)


def write_scripts(place: Path, *, helper: Path) -> None:
    """`helper`: their pkg-config."""
    place.mkdir(parents=True, exist_ok=True)
    name = place / "name"
    if not name.exists():
        name.write_text(secrets.token_hex(8))
    # The helper takes Go's cache for its own.
    _script(place / "pkg-config", f'GOCACHE="{place / "cargo"}" exec "{helper}" "$@"')
    # libflux denies warnings that compilers newer than its pinned 1.72 give.
    _script(place / "rustc", 'rustc="$1"; shift', 'exec "$rustc" "$@" --cap-lints warn')
    _script(place / "cargo.sh", " ".join(cargo_command()))


def cargo_command() -> Sequence[str]:
    """For a shell, in place of `cargo build --release --target $4`, which makes a shared library too, and for a target
    that is named compiles everything once for the build's own programs and once for the library.
    """
    options = [f"--config 'profile.release.{key}={value}'" for key, value in _PROFILE.items()]
    made = ["--package flux", "--lib", "--crate-type staticlib"]
    return ["exec cargo rustc --release", *made, '--target-dir "target/$4"', *options]


def environment(place: Path, *, go: str) -> dict[str, str]:
    """Of `go build`, and of the helper."""
    return {
        "CARGO": str(place / "cargo.sh"),
        "GO": go,  # not every one is on PATH
        "PKG_CONFIG": str(place / "pkg-config"),
        "RUSTC_WRAPPER": str(place / "rustc"),
        "RUSTUP_TOOLCHAIN": os.environ.get("RUSTUP_TOOLCHAIN", "stable"),
        "CGO_CFLAGS": f"{C_FLAGS} -DPOINTSMAN_LIBFLUX={(place / 'name').read_text()}",
    }


def _script(path: Path, *lines: str) -> None:
    path.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    path.chmod(0o755)
