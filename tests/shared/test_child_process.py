"""Children end with their parent, also with one that ended before they could be told to."""

from __future__ import annotations

import os

from shared.child_process import dies_with


def test_a_child_whose_parent_is_gone_ends_before_its_program() -> None:
    pid = os.fork()
    if pid == 0:
        try:
            dies_with(parent=-1)()  # nobody's parent has this id
        finally:
            os._exit(7)  # never back into the test run
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1


def test_a_child_of_a_living_parent_goes_on_in_a_group_of_its_own() -> None:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 9
        try:
            dies_with(parent, own_group=True)()
            code = 7 if os.getpgrp() == os.getpid() else 8
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7
