//! Tasks by their names: the Adroit tasks in this process where they are built in, all others as the library has them.

use mcnn::{
    Result,
    task::{
        self, Task,
        adroit::{Adroit, Rewards},
        drive::Drive,
    },
};

/// The task of a name ([`task::named`] says which there are); what its preparation says goes to stderr. The numbers of
/// an Adroit task are the same in this process and in Python; pictures are drawn in Python only.
pub fn named(name: &str, rewards: Rewards) -> Result<Box<dyn Task>> {
    match Adroit::ALL.into_iter().find(|task| task.name() == name) {
        Some(adroit) => hand(adroit, rewards),
        None => in_library(name, rewards),
    }
}

/// The task of a name in a simulator that draws, which is never the one in this process.
pub fn drawn(name: &str, rewards: Rewards) -> Result<Box<dyn Task>> {
    in_library(name, rewards)
}

/// The task whose observations and actions have these widths, among those that have a name of their own.
pub fn of_widths(n_obs: usize, n_act: usize) -> Option<String> {
    let hands = Adroit::ALL.into_iter().map(Adroit::spec);
    let mut all = hands.chain([task::kitchen::spec(), Drive::new().spec().clone()]);
    all.find(|spec| (spec.n_obs, spec.n_act) == (n_obs, n_act)).map(|spec| spec.name)
}

fn in_library(name: &str, rewards: Rewards) -> Result<Box<dyn Task>> {
    task::named(name, rewards, &|line| eprintln!("{line}"))
}

#[cfg(feature = "adroit")]
fn hand(adroit: Adroit, rewards: Rewards) -> Result<Box<dyn Task>> {
    Ok(Box::new(adroit::Hand::new(adroit, rewards)?))
}

#[cfg(not(feature = "adroit"))]
fn hand(adroit: Adroit, rewards: Rewards) -> Result<Box<dyn Task>> {
    let name = adroit.name();
    eprintln!(
        "{name} runs in Python; python/get_mujoco.sh && cargo build --release --features adroit builds it in"
    );
    in_library(name, rewards)
}
