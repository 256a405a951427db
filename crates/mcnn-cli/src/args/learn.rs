//! Options of `mcnn learn`, and dimensions written as ranges.

use clap::Args;
use mcnn::memory::{Amount, SelectionMethod};

use super::{DeviceArgs, EpisodeArgs, Inputs, NamesArgs, Output, UnitArgs, word};

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  mcnn learn drive.npz --fraction 0.1 --smooth-neighbors 10 -o memories.safetensors"
)]
pub struct LearnArgs {
    #[command(flatten)]
    pub input: Inputs,
    #[command(flatten)]
    pub episodes: EpisodeArgs,
    #[command(flatten)]
    pub units: UnitArgs,
    #[command(flatten)]
    pub names: NamesArgs,
    /// Fraction of the training states that become memories, above 0 and at most 1 [default: 0.1].
    #[arg(long, conflicts_with = "count", value_name = "FRACTION", help_heading = "Memories")]
    pub fraction: Option<f64>,
    /// Number of memories, instead of --fraction.
    #[arg(long, value_name = "COUNT", help_heading = "Memories")]
    pub count: Option<usize>,
    /// How memories are chosen: gas (growing neural gas), gas-fixed (neural gas that starts with all its nodes, as in the
    /// paper), random (a random subset), kmeans, kcenter (farthest-point sampling), or all (every state).
    #[arg(long = "selection", alias = "by", default_value = "gas", value_parser = selection,
          value_name = "METHOD", help_heading = "Memories")]
    pub selection: SelectionMethod,
    /// Passes over the data, for gas, gas-fixed and kmeans [default: 10; gas-fixed: 1].
    #[arg(long, value_name = "COUNT", help_heading = "Memories")]
    pub epochs: Option<usize>,
    /// Set the action of each memory to the mean over the STEPS training steps nearest to it, its own included. 1 keeps its own
    /// action; more averages out a noisy demonstrator. Where an episode is left out, as in validation, so are its steps.
    #[arg(long, alias = "smooth", default_value_t = 1, value_name = "STEPS", help_heading = "Memories")]
    pub smooth_neighbors: usize,
    /// State dimensions to ignore in distances and in the network, counted from 0, such as 7-25,30.
    #[arg(long, alias = "ignore", value_name = "DIMENSIONS", default_value = "", hide_default_value = true,
          value_parser = clap::value_parser!(Dimensions), help_heading = "Memories")]
    pub ignore_dims: Dimensions,
    /// Seed of the random choices.
    #[arg(long, default_value_t = 0, value_name = "SEED", help_heading = "Memories")]
    pub seed: u64,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub output: Output,
}

impl LearnArgs {
    pub fn amount(&self) -> Amount {
        self.count.map_or(Amount::Fraction(self.fraction.unwrap_or(0.1)), Amount::Count)
    }

    pub fn epochs(&self) -> usize {
        self.epochs.unwrap_or(epochs(self.selection))
    }
}

/// Default number of passes over the data.
pub fn epochs(selection: SelectionMethod) -> usize {
    if selection == SelectionMethod::GasFixed { 1 } else { 10 }
}

fn selection(text: &str) -> Result<SelectionMethod, String> {
    word(text, "gas, gas-fixed, random, kmeans, kcenter or all")
}

/// Dimensions as text: indices and inclusive ranges, such as `7-25,30`.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Dimensions(pub Vec<usize>);

impl std::str::FromStr for Dimensions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first <= last && last < 1 << 24).then_some(first..=last)
        };
        let parts = text.split(',').filter(|part| !part.trim().is_empty());
        let ranges: Option<Vec<_>> = parts.map(range).collect();
        let ranges = ranges.ok_or("expected dimensions counted from 0, such as 7-25,30")?;
        Ok(Self(ranges.into_iter().flatten().collect()))
    }
}

impl TryFrom<String> for Dimensions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Dimensions> for String {
    fn from(dimensions: Dimensions) -> Self {
        dimensions.to_string()
    }
}

impl std::fmt::Display for Dimensions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let runs = self.0.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
            [one] => one.to_string(),
            _ => format!("{}-{}", run[0], run[run.len() - 1]),
        });
        f.write_str(&runs.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::Dimensions;

    #[test]
    fn dimensions_are_parsed_and_written_as_indices_and_ranges() {
        let read = |text: &str| text.parse::<Dimensions>();
        assert_eq!(read("7-9, 30").unwrap().0, [7, 8, 9, 30]);
        assert_eq!(read("7-9,30").unwrap().to_string(), "7-9,30");
        assert!(read("").unwrap().0.is_empty());
        for bad in ["a", "3-", "-3", "5-4", "1-99999999999"] {
            assert!(read(bad).unwrap_err().contains("such as 7-25,30"), "{bad}");
        }
    }
}
