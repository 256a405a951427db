//! The tests of the binary, in one program: linking is what takes time. `adroit.rs` is one of its own, which test.sh also builds
//! with the feature `adroit`.

mod action_units;
mod bad_input;
mod bet;
mod book;
mod browser;
mod certify;
mod common;
mod datasets;
mod diffusion;
mod embed;
mod encoder;
mod episodes;
mod guard;
mod guide;
mod hostile;
mod json_keys;
mod memory;
mod names;
mod outputs;
mod pages;
mod pixels;
mod recordings;
mod report;
mod resume;
mod selection;
mod signals;
mod suggest;
mod sweep;
mod table;
mod task_options;
mod test_verb;
mod tune;
mod unet;
mod verbs;
mod version_1;
