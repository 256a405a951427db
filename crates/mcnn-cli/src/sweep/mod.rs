//! Sweeps: a plan of many runs (`plan`), one run (`one`), the file of results (`results`), and the results as a table of
//! methods by tasks (`grid`).

pub mod backbones;
pub mod grid;
pub mod one;
pub mod plan;
pub mod results;
pub mod settings;
