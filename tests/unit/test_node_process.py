import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hack.node.process import Daemon, Identity, ending_with_starter, free_port, gone, running, stop
from hack.node.trouble import TroubleError

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text()


@pytest.fixture
def directory(tmp_path):
    yield tmp_path
    for file in (tmp_path / "run").glob("*.process"):
        stop(file, seconds=0)


def sleeper(directory, *, name="sleeper", command=("sleep", "60")):
    return Daemon(name=name, command=command, directory=directory)


def started(daemon):
    daemon.start()
    daemon.wait_until(lambda: daemon.identity() is not None, seconds=5)
    return daemon.identity()


def start_time(process):
    identity = Identity.of(process.pid)
    assert identity is not None
    return identity.started


def test_a_record_names_the_process_whatever_its_program_is_called(directory):
    program = directory / "a (b) c"
    program.symlink_to("/bin/sh")
    identity = started(sleeper(directory, command=(program, "-c", "sleep 60; true")))
    assert identity == Identity.of(identity.pid)


def test_a_record_that_was_cut_short_names_nobody():
    text = "pid=17,started=22,boot=b\n"
    assert Identity.parse(text) == Identity(pid=17, started=22, boot="b")
    assert [Identity.parse(text[:length]) for length in range(len(text))] == [None] * len(text)


def test_a_record_is_no_argument_of_kill(directory):
    """`kill $(cat …)` once ended every process of the machine."""
    daemon = sleeper(directory)
    identity = started(daemon)
    done = subprocess.run(["sh", "-c", f"kill $(cat {daemon.record})"], capture_output=True, check=False)
    assert done.returncode != 0
    assert identity.alive()


def test_a_started_daemon_is_found_again_and_not_started_twice(directory):
    first = started(sleeper(directory))
    assert started(sleeper(directory)) == first
    sleeper(directory).stop()
    assert not first.alive()
    assert sleeper(directory).identity() is None


def test_a_pid_that_belongs_to_somebody_else_by_now_is_not_killed(directory):
    with subprocess.Popen(["sleep", "60"]) as other:
        file = directory / "run" / "recycled.process"
        file.parent.mkdir()
        file.write_text(f"pid={other.pid},started={start_time(other) - 1},boot={BOOT}")
        assert running(file) is None
        stop(file, seconds=0)
        assert other.poll() is None
        other.kill()


def test_a_pid_of_an_earlier_boot_is_not_killed(directory):
    with subprocess.Popen(["sleep", "60"]) as other:
        file = directory / "run" / "before.process"
        file.parent.mkdir()
        file.write_text(f"pid={other.pid},started={start_time(other)},boot=another-boot\n")
        assert running(file) is None
        other.kill()


def test_who_does_not_listen_is_ended_after_the_grace(directory):
    stubborn = sleeper(directory, command=("sh", "-c", "trap '' TERM; touch deaf; while :; do sleep 0.1; done"))
    stubborn.start()
    stubborn.wait_until((directory / "deaf").exists, seconds=5)
    identity = stubborn.identity()
    stubborn.stop(seconds=0.2)
    assert not identity.alive()


def test_ending_while_starting_is_told_with_the_end_of_the_log(directory):
    failing = sleeper(directory, command=("sh", "-c", "echo the port is taken >&2; exit 3"))
    failing.start()
    with pytest.raises(TroubleError, match=r"sleeper ended while starting(?s:.*)the port is taken"):
        failing.wait_until(lambda: False, seconds=5)


def test_a_program_that_is_missing_is_told_too(directory):
    missing = sleeper(directory, command=("/nowhere/program",))
    missing.start()
    with pytest.raises(TroubleError, match=r"(?s)ended while starting.*/nowhere/program"):
        missing.wait_until(lambda: False, seconds=5)


def test_not_being_ready_in_time_is_told(directory):
    slow = sleeper(directory)
    slow.start()
    with pytest.raises(TroubleError, match="sleeper was not ready within 0 s"):
        slow.wait_until(lambda: False, seconds=0.2)


def test_another_programs_answer_on_the_port_is_not_taken_for_the_daemons(directory):
    failing = sleeper(directory, command=("sh", "-c", "until [ -e bound ]; do sleep 0.02; done"))
    identity = started(failing)
    (directory / "bound").touch()
    assert gone(identity, seconds=5)
    with pytest.raises(TroubleError, match="ended while starting"):
        failing.wait_until(lambda: True, seconds=5)


def test_a_killed_daemon_is_started_anew(directory):
    first = started(sleeper(directory))
    os.kill(first.pid, signal.SIGKILL)
    assert gone(first, seconds=5)
    second = started(sleeper(directory))
    assert second != first


def test_a_process_whose_first_thread_has_ended_still_holds_its_port(directory):
    port = free_port()
    program = (
        "import ctypes, pathlib, socket, threading, time; "
        f"listener = socket.create_server(('127.0.0.1', {port})); "
        "threading.Thread(target=time.sleep, args=(60,)).start(); "
        "pathlib.Path('listening').touch(); "
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    daemon = sleeper(directory, command=(sys.executable, "-c", program))
    daemon.start()
    daemon.wait_until((directory / "listening").exists, seconds=5)
    identity = daemon.identity()
    stat = Path(f"/proc/{identity.pid}/stat")
    while ") Z " not in stat.read_text():  # as in the midst of a killed process's end
        time.sleep(0.01)
    assert identity.alive()
    daemon.stop(seconds=0)
    with socket.create_server(("127.0.0.1", port)):
        assert not identity.alive()


def test_daemons_do_not_see_the_callers_kubeconfig_or_proxies(directory, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/somebody/elses")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    daemon = Daemon(
        name="env", command=("sh", "-c", "env; touch told; sleep 60"), directory=directory, env={"KEPT": "yes"}
    )
    daemon.start()
    daemon.wait_until((directory / "told").exists, seconds=5)
    said = daemon.log.read_text()
    assert "KEPT=yes" in said
    assert "KUBECONFIG" not in said
    assert "PROXY" not in said


STARTER = """\
import sys, time
from pathlib import Path
from hack.node.process import Daemon, ending_with_starter
for name, before in (("bound", ending_with_starter()), ("free", ())):
    Daemon(name=name, command=[*before, "sleep", "60"], directory=Path(sys.argv[1])).start()
time.sleep(60)
"""


def test_a_daemon_that_ends_with_its_starter_ends_also_where_that_is_killed(directory):
    starter = subprocess.Popen([sys.executable, "-c", STARTER, directory])
    bound, free = (sleeper(directory, name=name) for name in ("bound", "free"))
    try:
        for daemon in (bound, free):
            daemon.wait_until(lambda daemon=daemon: _command(daemon)[-2:] == ["sleep", "60"], seconds=20)
        identity = bound.identity()
    finally:
        starter.kill()
        starter.wait()
    assert gone(identity, seconds=5)
    assert free.identity()


def _command(daemon):
    """Of the process that has its record, once that runs the program itself."""
    identity = daemon.identity()
    return Path(f"/proc/{identity.pid}/cmdline").read_text().split("\0")[:-1] if identity else []


def test_options_of_the_user_stand_before_the_program():
    assert ending_with_starter("--reuid=7") == ("setpriv", "--pdeathsig=KILL", "--reuid=7", "--")


def test_stopping_what_never_ran_is_fine(directory):
    stop(directory / "run" / "nobody.process", seconds=0)


def test_free_ports_are_not_given_twice():
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == 200
