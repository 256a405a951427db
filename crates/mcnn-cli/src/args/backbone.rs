//! The options of backbones, made from what each kind says of itself ([`mcnn::backbone::KINDS`]).

use std::sync::LazyLock;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use mcnn::{
    backbone::{Architecture, BackboneKind, KINDS, OptionInfo},
    error::Kind,
};

/// An option, once for all kinds that have it.
struct BackboneOption {
    info: OptionInfo,
    kinds: Vec<&'static BackboneKind>,
    heading: String,
    help: String,
}

/// All options: those of the first kind first, in its order.
static OPTIONS: LazyLock<Vec<BackboneOption>> = LazyLock::new(|| {
    let mut all: Vec<(OptionInfo, Vec<(&'static BackboneKind, &'static str)>)> = Vec::new();
    for kind in KINDS {
        for info in kind.options() {
            let own = (kind, info.default);
            match all.iter_mut().find(|(known, _)| known.name == info.name) {
                Some((_, kinds)) => kinds.push(own),
                None => all.push((info, vec![own])),
            }
        }
    }
    all.into_iter()
        .map(|(info, kinds)| {
            let names: Vec<&str> = kinds.iter().map(|(kind, _)| kind.name).collect();
            let defaults = defaults(kinds.iter().map(|(kind, default)| (kind.name, default.to_string())));
            BackboneOption {
                info,
                heading: format!("Network: {}", listed(&names)),
                help: format!("{} {defaults}", info.help),
                kinds: kinds.into_iter().map(|(kind, _)| kind).collect(),
            }
        })
        .collect()
});

/// Names in a sentence: `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// Defaults by kind as a help text has them: `[default: 5; unet: 100; resmlp: 100]`, the first kind's without its name.
fn defaults(mut of_kinds: impl Iterator<Item = (&'static str, String)>) -> String {
    let (_, first) = of_kinds.next().expect("a kind");
    let others: String =
        of_kinds.filter(|(_, own)| *own != first).map(|(name, own)| format!("; {name}: {own}")).collect();
    format!("[default: {first}{others}]")
}

/// The defaults of all kinds for something that follows from their settings.
pub fn defaults_of(of: impl Fn(&Architecture) -> String) -> String {
    defaults(KINDS.iter().map(|kind| (kind.name, of(&kind.default_settings()))))
}

/// A help text for `--hidden`: the kinds that have hidden layers, and their default widths.
pub fn hidden_help() -> String {
    let text = |kind: &BackboneKind| {
        let widths = kind.default_settings().default_hidden();
        widths.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
    };
    let defaults = defaults(layered().map(|kind| (kind.name, text(kind))));
    format!(
        "Widths of the hidden layers; of unet, channels by resolution level; of resmlp, equal widths, one for each block {defaults}"
    )
}

/// The kinds whose hidden layers have widths to choose.
pub fn layered() -> impl Iterator<Item = &'static BackboneKind> {
    KINDS.iter().filter(|kind| !kind.default_settings().default_hidden().is_empty())
}

/// The options of backbones that were given: names and values.
#[derive(Debug, Default)]
pub struct BackboneArgs(Vec<(&'static str, String)>);

impl BackboneArgs {
    /// The settings of a backbone with the given options; what is not given is as in the paper if `paper` is set.
    ///
    /// # Errors
    /// If an option of another backbone was given.
    pub fn architecture(&self, name: &str, paper: bool) -> mcnn::Result<Architecture> {
        for option in
            OPTIONS.iter().filter(|option| self.0.iter().any(|(given, _)| *given == option.info.name))
        {
            refuse_others(&format!("--{}", option.info.name), name, option.kinds.iter().copied())?;
        }
        let kind = BackboneKind::named(name).expect("clap accepts the names of kinds alone");
        let own = self.0.iter().map(|(name, value)| (*name, value.as_str()));
        // Of two values of an option the last counts.
        let given: Vec<(&str, &str)> = kind.paper.iter().copied().filter(|_| paper).chain(own).collect();
        kind.with_options(&given).map_err(mcnn::backbone::InvalidSetting::into_error)
    }
}

/// Refuses an option that the backbone of a name does not have.
///
/// # Errors
/// If it is not one of the kinds that have the option.
pub fn refuse_others(
    option: &str,
    name: &str,
    kinds: impl Iterator<Item = &'static BackboneKind>,
) -> mcnn::Result<()> {
    let names: Vec<&str> = kinds.map(|kind| kind.name).collect();
    if names.contains(&name) {
        return Ok(());
    }
    Err(mcnn::Error::new(Kind::Settings, "an option of another backbone")
        .at(option)
        .expected(format!("--backbone {}", names.join(" or ")))
        .found(format!("--backbone {name}"))
        .next("leave the option out, or choose that backbone"))
}

impl Args for BackboneArgs {
    fn augment_args(command: Command) -> Command {
        OPTIONS.iter().fold(command, |command, option| {
            let BackboneOption { info, kinds, heading, help } = option;
            let (name, kind) = (info.name, kinds[0]);
            let parse = move |text: &str| match kind.with_options(&[(name, text)]) {
                Ok(_) => Ok(text.to_string()),
                Err(invalid) => Err(invalid.expected),
            };
            command.arg(
                Arg::new(name)
                    .long(name)
                    .aliases(info.aliases.iter().copied())
                    .value_name(info.value_name)
                    .value_parser(parse)
                    .help(help.as_str())
                    .help_heading(heading.as_str()),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for BackboneArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |option: &'static BackboneOption| {
            Some((option.info.name, matches.get_one::<String>(option.info.name)?.clone()))
        };
        Ok(Self(OPTIONS.iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_of_two_backbones_stands_once_with_the_defaults_of_both() {
        let of = |name: &str| OPTIONS.iter().filter(|option| option.info.name == name).collect::<Vec<_>>();
        let [steps] = of("diffusion-steps")[..] else { panic!("one option") };
        assert_eq!(steps.heading, "Network: diffusion, unet and resmlp");
        assert!(steps.help.ends_with("[default: 5; unet: 100; resmlp: 100]"), "{}", steps.help);
        let [gamma] = of("gamma")[..] else { panic!("one option") };
        assert_eq!(gamma.heading, "Network: bet");
    }

    #[test]
    fn defaults_that_options_state_are_those_of_the_settings() {
        for kind in KINDS {
            for info in kind.options() {
                let default = info.default.split(';').next().expect("a default");
                let given = kind.with_options(&[(info.name, default)]).expect("a valid default");
                assert_eq!(given, kind.default_settings(), "--{} of {}", info.name, kind.name);
            }
        }
    }
}
