import threading
import time

import pytest

from hack.node.beside import beside
from hack.node.progress import Steps
from hack.node.trouble import TroubleError


def test_who_begins_steps_beside_others_joins_them():
    with Steps() as one:
        with Steps() as other:
            assert other is one
        with Steps() as later:
            assert later is one
    with Steps() as another:
        assert another is not one


def test_work_beside_has_ended_with_the_block():
    begun, done = threading.Event(), []

    def work(what):
        begun.wait()
        time.sleep(0.05)
        done.append(what)

    with beside(work, "images"):
        assert not done
        begun.set()
    assert done == ["images"]


def test_an_error_beside_is_said_at_once(capsys):
    def fails():
        raise TroubleError("no image")

    said = []

    def looks():
        time.sleep(0.05)
        said.append(capsys.readouterr().err)

    with pytest.raises(TroubleError, match="no image"), beside(fails):
        looks()
    assert said == ["no image\nWaiting for what else is under way.\n"]
    with pytest.raises(TroubleError, match="no cluster"), beside(time.sleep, 0.05):
        raise TroubleError("no cluster")
    assert capsys.readouterr().err == "no cluster\nWaiting for what else is under way.\n"


def test_an_error_beside_is_raised_after_the_block():
    def fails():
        raise TroubleError("no image")

    with pytest.raises(TroubleError, match="no image"), beside(fails):
        time.sleep(0.05)
    with pytest.raises(TroubleError, match="no cluster"), beside(fails):
        raise TroubleError("no cluster")
