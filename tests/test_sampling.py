"""Instants of a time table, for any table and any request."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from patchlens.container import Table
from patchlens.limits import Limits
from patchlens.sampling import EPS, sample


@given(
    st.lists(st.floats(0.001, 5), min_size=1, max_size=60),
    st.integers(1, 80),
    st.one_of(st.none(), st.floats(0.1, 50)),
    st.booleans(),
)
def test_instants_lie_in_the_span_and_collapse_to_rising_times(gaps, frames, fps, cut):
    shown = np.cumsum(gaps)
    table = Table(shown, shown, np.ones(len(shown), bool), float(shown[-1] + 0.04), True)
    span = (float(shown[0]), float(shown[-1])) if cut and len(shown) > 1 else None
    plan = sample(table, "x", frames, fps, span, Limits(sampled=10_000))
    assert (np.diff(plan.targets) >= 0).all()
    assert plan.start <= plan.targets[0] and plan.targets[-1] <= plan.end + EPS
    picked = shown[np.unique(np.searchsorted(shown, plan.targets + EPS, "right") - 1)]
    assert len(picked) == plan.distinct <= max(frames, 1 if fps is None else 10**9)
    assert span is None or ((picked >= span[0] - EPS) & (picked < span[1])).all()
