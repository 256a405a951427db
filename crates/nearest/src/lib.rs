//! Exact nearest-neighbour search over a small table of rows.
