//! Demonstrations in columns that can be read by ranges of steps: a file of the layout safetensors, with the arrays `states` (F32,
//! `[n_steps, n_obs]`), `actions` (F32, `[n_steps, n_act]`, in the data's units), `episode_ends` (I64, `[n_episodes]`) and, where there
//! are any, `rewards` (F32, `[n_steps]`), `episode_numbers` (U32, `[n_episodes]`) and `episode_tasks` (U32, `[n_episodes]`, places in
//! the list `tasks`). Everything else is JSON in the metadata key `mcnn` ([`about::About`]), which may be missing.
//!
//! The file is read at positions, not mapped: where it is cut short while a process reads it, a read fails with an error, whereas a
//! mapped page beyond the end of a file would end the process.

mod about;
mod file;
mod header;
mod read;
mod rows;
mod stream;
mod write;

pub(super) use about::About;
pub(super) use read::{is_file, names, read};
pub(super) use rows::FileSteps;
pub use stream::stream;
pub(super) use write::{Written, write};

#[cfg(test)]
mod tests;
