//! Closed-loop evaluation of anything that acts, on any task, and the statistics to report it with.
