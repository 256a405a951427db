//! Sweeps: a plan of many runs (`plan`) or a part of it (`shard`), what they need (`prepared`), one run (`one`), the file of results
//! (`results`, read as `record` for the table), several files as one (`merge`), and the results as a table of methods by tasks (`grid`, with
//! short names of the methods from `names`).

pub mod backbones;
pub mod grid;
pub mod merge;
pub mod names;
pub mod one;
pub mod plan;
pub mod prepared;
pub mod record;
pub mod results;
pub mod settings;
pub mod shard;
