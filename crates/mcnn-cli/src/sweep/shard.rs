//! A part of a plan, for machines that do not know of each other.

use std::{fmt, str::FromStr};

use mcnn::{Error, Result, error::Kind};

/// The I-th of N parts. The runs of a plan are dealt out one by one, so that every part has some of each seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// I, from 1 to `count`.
    number: usize,
    /// N.
    count: usize,
}

impl Shard {
    /// The runs of this part, out of all in the order of the plan.
    ///
    /// # Errors
    /// If there are fewer runs than parts, and none for this one.
    pub fn of<T>(self, runs: Vec<T>) -> Result<Vec<T>> {
        let n = runs.len();
        let of_shard: Vec<T> = runs.into_iter().skip(self.number - 1).step_by(self.count).collect();
        if of_shard.is_empty() {
            return Err(Error::new(Kind::Settings, "this shard has no run")
                .at(format!("--shard {self}"))
                .expected(format!("1/{n} to {n}/{n}, or fewer shards than the {n} runs of the plan")));
        }
        Ok(of_shard)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let expected = || "expected I/N with I from 1 to N, such as 1/8".to_owned();
        let (number, count) = text.split_once('/').ok_or_else(expected)?;
        let (number, count) =
            (number.parse().map_err(|_| expected())?, count.parse().map_err(|_| expected())?);
        if (1..=count).contains(&number) { Ok(Self { number, count }) } else { Err(expected()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shards_of_a_plan_are_its_runs_each_once() {
        for (n, count) in [(10, 3), (7, 7), (9, 1), (100, 16)] {
            let shards = (1..=count).map(|i| format!("{i}/{count}").parse::<Shard>().unwrap());
            let mut all: Vec<usize> = shards.flat_map(|shard| shard.of((0..n).collect()).unwrap()).collect();
            assert_eq!(all.len(), n);
            all.sort_unstable();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
        }
        assert!("4/4".parse::<Shard>().unwrap().of(vec![0, 1, 2]).is_err());
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["0/4", "5/4", "1/0", "4", "a/4", "1/b", "-1/4", "1/4/2", "", "1.0/4"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
