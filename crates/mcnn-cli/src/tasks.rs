//! Tasks by their names.

use mcnn::{
    Result,
    task::{self, Task, adroit::Rewards},
};

/// The task of a name; what its preparation says goes to stderr.
pub fn named(name: &str, rewards: Rewards) -> Result<Box<dyn Task>> {
    task::named(name, rewards, &|line| eprintln!("{line}"))
}

/// The task of a name in a simulator that draws.
pub fn drawn(name: &str, rewards: Rewards) -> Result<Box<dyn Task>> {
    task::named(name, rewards, &|line| eprintln!("{line}"))
}
