"""What waits for an answer is said again: not at once, and ever more rarely."""

from itertools import pairwise

from troth_protocol.log.patience import PAUSE_MAX, Patience


def test_the_pauses_double_up_to_a_limit():
    patience = Patience()
    said = [interval for interval in range(1, 60) if patience.is_over()]
    assert said[:5] == [2, 4, 8, 16, 24]
    assert {later - earlier for earlier, later in pairwise(said[3:])} == {PAUSE_MAX}
