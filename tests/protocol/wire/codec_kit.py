"""Values that can travel, and how bytes that cannot are refused: for the tests of the codec."""

import pytest
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import MAX_INT

keys = st.builds("{}{}".format, st.sampled_from("az"), st.text("az_09", max_size=30))
scalars = (
    st.booleans()
    | st.integers(-MAX_INT, MAX_INT)
    | st.integers(-300, 300)
    | st.text(max_size=40)
    | st.binary(max_size=40)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(keys, inner, max_size=20),
    max_leaves=15,
)


def code_of(function, argument):
    with pytest.raises(Invalid) as refusal:
        function(argument)
    assert len(str(refusal.value)) < 300  # an error is short, however long the bytes
    return refusal.value.code
