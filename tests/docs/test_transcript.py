"""How the outputs of demo and tour are compared with what is shown of them."""

import pytest
from tests.demo.transcript import differences

PRINTED = """\
(the beds)
# [ 45 s] Drain cmp2
$ kubectl get cnd --watch
  cnd | NAME         HOST   PHASE      SERVERS   MOVING   BLOCKED   SERVICE   AGE
  cnd | compute-07   cmp2                                                     1s
event | Normal   Pending   found the service; disabling it
  cnd | compute-07   cmp2   Draining   0/12      4        1         disabled   3s
  cnd | compute-07   cmp2   Draining   7/12      4        1         disabled   9s
event | Warning  Suspended   a: suspended
event | Warning  Suspended   b: suspended
  cnd | compute-07   cmp2   Stalled    11/12     0        1         disabled   1m4s

# [ 70 s] Eleven have moved
web-1 cmp3 57d8189b-aed6-4b88-86ca-ea35cc9db9f0
""".splitlines()
SHOWN = """\
…
# [ 12 s] Drain cmp2
$ kubectl get cnd --watch
event | Normal   Pending   found the service; disabling it
  cnd | compute-07   cmp2   Draining   3/12      4        1         disabled   6s
event | Warning  Suspended   b: suspended
event | Warning  Suspended   a: suspended
  cnd | compute-07   cmp2   Stalled    11/12     0        1         disabled   40s

# [101 s] Eleven have moved
web-1 cmp5 daece901-4c32-4c51-b727-b54f1beb68d3
""".splitlines()


def test_what_differs_from_run_to_run_is_not_compared() -> None:
    assert differences(SHOWN, PRINTED) == []


@pytest.mark.parametrize(
    ("line", "instead", "named"),
    [
        (0, "(other beds)", "'(other beds)' after ''"),
        (1, "# [ 12 s] Drain cmp3", "'# [TIME] Drain HOST' after '…'"),
        (3, "event | Normal Pending found it", "event | Normal Pending found it"),
        (4, "  cnd | compute-07 cmp2 Pending", " cnd | compute-07 cmp2 Pending"),
        (7, "  cnd | compute-07 cmp2 Drained", " cnd | compute-07 cmp2 Drained"),
        (8, "more", "'more' after '$ kubectl get cnd --watch'"),
        (10, "web-2 cmp5", "'web-2 HOST' after '# [TIME] Eleven have moved'"),
    ],
)
def test_what_is_not_printed_is_named(line: int, instead: str, named: str) -> None:
    assert differences([*SHOWN[:line], instead, *SHOWN[line + 1 :]], PRINTED) == [named]


def test_states_are_shown_in_their_order() -> None:
    shown = [*SHOWN[:4], SHOWN[7], SHOWN[4], *SHOWN[5:7], *SHOWN[8:]]
    assert differences(shown, PRINTED) == [" cnd | compute-07 cmp2 Draining COUNTS disabled AGE"]


def test_more_than_is_shown_is_noticed_unless_it_is_marked() -> None:
    assert differences(SHOWN[:-1], PRINTED) == ["the end after '# [TIME] Eleven have moved'"]
    assert differences([*SHOWN[:-1], "…"], PRINTED) == []
