"""In which order programs are built, told by a `go` that notes what it does and takes a moment for it."""

import os
import shutil
import subprocess
from textwrap import dedent

import pytest

from hack.node import build, libflux, toolchain
from hack.node.binaries import NATIVE, PROGRAMS, GoTool
from hack.node.toolchain import garbage_collection, go_tags
from hack.node.trouble import TroubleError

GO = """\
    #!/bin/bash
    case $1 in
      env) echo go1.26.0; exit ;;
      list) what="fetch" ;;
      build) what="build" ;;
      *) exit ;;
    esac
    module=$(basename "$PWD")
    echo "$what $module" >>NOTES
    sleep 0.2
    [ "$what $module" != "$FAILS" ] || { echo "it does not compile" >&2; exit 1; }
    if [ $what = build ]; then
      while [ "$1" != -o ]; do shift; done
      for package in "${@:3}"; do
        [ "$package" = . ] && package=$module
        touch "$2/$(basename "${package%/v3}")"
      done
    fi
    echo "end of $what $module" >>NOTES
"""


@pytest.fixture
def notes(tmp_path, monkeypatch):
    """What `go` was called for, in a machine with an empty cache."""
    place = tmp_path / "notes"
    place.touch()
    program = tmp_path / "bin" / "go"
    program.parent.mkdir()
    program.write_text(dedent(GO).replace("NOTES", str(place)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAILS", "")
    return lambda: place.read_text().splitlines()


def group(*names):
    return [PROGRAMS[name] for name in names]


def native():
    wanted: dict[str, list] = {}
    for name in NATIVE:
        if isinstance(PROGRAMS[name].source, GoTool):
            wanted.setdefault(PROGRAMS[name].group, []).append(PROGRAMS[name])
    return list(wanted.values())


def test_a_small_program_comes_before_the_cluster_and_the_largest_next():
    first, others = build.in_order(native())
    assert first
    assert first[0].name == "telegraf"
    assert [members[0].group for members in others] == ["kubernetes", "influxd", "coredns", "pause"]


def test_one_alone_waits_for_no_other():
    assert build.in_order([group("telegraf")]) == (None, [group("telegraf")])
    assert build.in_order([]) == (None, [])


def test_what_waits_for_cargo_is_never_first():
    first, _ = build.in_order([group("influxd"), group("kubelet", "kube-apiserver"), group("kapacitord")])
    assert first is None


def test_the_first_is_compiled_alone_while_the_others_are_fetched(notes):
    found = build.ensure("telegraf", "coredns", "etcd", "pause")
    assert all(path.exists() for path in found.values())
    said = notes()
    assert [line for line in said if "build" in line][:2] == ["build telegraf", "end of build telegraf"]
    for module in ("telegraf", "coredns", "kubernetes", "pause"):
        assert said.index(f"end of fetch {module}") < said.index(f"build {module}")
    assert said.index("fetch kubernetes") < said.index("end of build telegraf")
    assert said.index("build kubernetes") < said.index("end of build coredns")


def test_after_a_failure_nothing_more_is_begun(notes, monkeypatch):
    monkeypatch.setenv("FAILS", "build telegraf")
    with pytest.raises(TroubleError, match="it does not compile"):
        build.ensure("telegraf", "coredns", "etcd", "pause")
    assert [line for line in notes() if line.startswith("build")] == ["build telegraf"]
    monkeypatch.setenv("FAILS", "")
    assert all(path.exists() for path in build.ensure("telegraf", "coredns", "etcd", "pause").values())


def test_modules_that_cannot_be_fetched_are_told(notes, monkeypatch):
    monkeypatch.setenv("FAILS", "fetch kubernetes")
    with pytest.raises(TroubleError, match=r"go list .* failed.*kubernetes\.modules\.log"):
        build.ensure("etcd")


@pytest.mark.parametrize(
    "program", [p for p in PROGRAMS.values() if isinstance(p.source, GoTool)], ids=lambda p: p.name
)
def test_the_standard_library_is_the_same_for_all(program):
    """One with C in it would be another, and be compiled again."""
    assert go_tags(program.source).split(",")[:2] == ["netgo", "osusergo"]
    assert set(filter(None, program.source.tags.split(","))) <= set(go_tags(program.source).split(","))


def test_the_compiler_collects_seldom_only_where_memory_is_plenty():
    assert garbage_collection(2 * 1024**3) == {}
    assert garbage_collection(4 * 1024**3) == {"GOGC": "400", "GOMEMLIMIT": str(4 * 1024**3)}


def test_an_interrupted_copy_of_the_library_is_made_again(tmp_path):
    copies = tmp_path / "cargo/pkgconfig/github.com/influxdata"
    for version, inside in (("v1", "libflux/src"), ("v2", "libflux/target")):
        (copies / f"flux@{version}" / inside).mkdir(parents=True)
    libflux.drop_interrupted_copies(tmp_path)
    assert [copy.name for copy in copies.iterdir()] == ["flux@v2"]


def test_what_a_program_is_built_with_is_missed_before_anything_is_compiled(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    toolchain.check([PROGRAMS["etcd"]])
    with pytest.raises(TroubleError, match="building influxd needs cc, which is not on PATH: install gcc"):
        toolchain.check([PROGRAMS["etcd"], PROGRAMS["influxd"]])
    with pytest.raises(TroubleError, match="building gitea needs cc"):
        toolchain.check([PROGRAMS["gitea"]])


def test_cargo_makes_one_library_for_this_machine(tmp_path):
    place = tmp_path / "libflux"
    libflux.write_scripts(place, helper=tmp_path / "helper")
    cargo = tmp_path / "bin" / "cargo"
    cargo.parent.mkdir()
    cargo.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    cargo.chmod(0o755)
    said = subprocess.run(
        [place / "cargo.sh", "build", "--release", "--target", "x86_64-unknown-linux-gnu"],
        env={"PATH": f"{cargo.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert said[:8] == [
        *("rustc", "--release", "--package", "flux", "--lib", "--crate-type", "staticlib", "--target-dir"),
    ]
    assert said[8] == "target/x86_64-unknown-linux-gnu"
    assert 'profile.release.lto="off"' in said
    assert said.count("--config") == len([word for word in said if word.startswith("profile.release.")])


def test_what_was_compiled_against_another_library_is_not_taken_again(tmp_path):
    """Go remembers the path of a library that has gone, and would not make it anew."""

    def flags():
        libflux.write_scripts(tmp_path / "libflux", helper=tmp_path / "helper")
        return libflux.environment(tmp_path / "libflux", go="go")["CGO_CFLAGS"]

    first = flags()
    assert flags() == first  # after an interruption
    shutil.rmtree(tmp_path / "libflux")
    assert flags() != first


def test_the_helper_keeps_its_library_out_of_the_compile_cache(tmp_path):
    helper = tmp_path / "helper"
    helper.write_text('#!/bin/sh\necho "$GOCACHE $1"\n')
    helper.chmod(0o755)
    place = tmp_path / "libflux"
    libflux.write_scripts(place, helper=helper)
    env = {**os.environ, "GOCACHE": str(tmp_path / "go-build")}
    command = [place / "pkg-config", "--cflags"]
    assert subprocess.check_output(command, env=env, text=True).split() == [str(place / "cargo"), "--cflags"]
