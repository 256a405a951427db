//! The layout of `--help`: one column of options, each with its help below it, no line longer than [`WIDTH`].

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, CommandFactory as _, FromArgMatches as _, builder::Resettable};

use super::Cli;

/// Characters of the longest line of `--help`.
const WIDTH: usize = 100;

/// Spaces before the help of an option, as clap indents it.
const INDENT: usize = 10;

/// Parses arguments; the first is the program's name. An `Err` is clap's output: help, the version, or an error message.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let mut matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|e| e.format(&mut command))
}

/// The command line with its help laid out.
fn command() -> Command {
    lay_out(Cli::command())
}

fn lay_out(command: Command) -> Command {
    let about = command.get_about().map(|about| wrap(&about.to_string(), WIDTH));
    let command = if let Some(about) = about { command.about(about) } else { command };
    let command = command.mut_args(lay_out_arg);
    let names: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, lay_out))
}

/// Wraps the help of one argument, with its default value, and puts it on lines of its own.
fn lay_out_arg(arg: Arg) -> Arg {
    // Without this, the heading of the preceding options would apply to a positional argument as well.
    let arg = if arg.is_positional() { arg.help_heading(Resettable::Reset) } else { arg };
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    if takes_value && !arg.is_hide_default_value_set() && !arg.get_default_values().is_empty() {
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        text = format!("{} [default: {}]", text.trim_end_matches('.'), defaults.join(","));
    }
    // So that -1 is a number out of range and no unknown option; and -inf, of lambda.
    let arg = arg.allow_negative_numbers(takes_value);
    let arg = if arg.get_id() == "lambda" { arg.allow_hyphen_values(true) } else { arg };
    arg.help(wrap(&text, WIDTH - INDENT))
        .hide_default_value(takes_value)
        .hide_possible_values(takes_value)
        .next_line_help(true)
}

/// Breaks text into lines of at most `width` characters, at spaces.
fn wrap(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.into());
        } else {
            line.extend((!line.is_empty()).then_some(' '));
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All commands without subcommands, by their names ("memory add").
    fn verbs() -> Vec<(String, Command)> {
        fn collect(name: &str, command: &Command, all: &mut Vec<(String, Command)>) {
            for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
                let name = format!("{name} {}", verb.get_name()).trim().to_owned();
                collect(&name, verb, all);
                if !verb.has_subcommands() {
                    all.push((name, verb.clone()));
                }
            }
        }
        let mut all = Vec::new();
        collect("", &command(), &mut all);
        all
    }

    #[test]
    fn every_option_has_a_heading_a_help_text_and_a_meaningful_value_name() {
        for (verb, command) in verbs() {
            assert!(command.get_about().is_some(), "{verb}");
            let example = command.get_after_help().expect("an example").to_string();
            assert!(example.contains(&format!("mcnn {verb} ")), "{verb}: {example}");
            for arg in command.get_arguments() {
                let id = arg.get_id();
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.chars().count() > 10, "mcnn {verb}: {id} has no help");
                assert!(
                    help.starts_with(|c: char| c.is_uppercase() || arg.is_positional()),
                    "{verb} {id}: {help}"
                );
                assert!(
                    arg.is_positional() || arg.get_help_heading().is_some(),
                    "mcnn {verb}: {id} has no heading"
                );
                for value in arg.get_value_names().unwrap_or_default() {
                    let known = ["K", "L", "N", "T"].contains(&value.as_str()); // symbols that the help text explains
                    assert!(known || value.len() > 2, "mcnn {verb}: {id} has the value name {value}");
                }
            }
        }
    }

    #[test]
    fn no_line_of_help_is_longer_than_the_width() {
        let mut pages = vec![("mcnn".to_owned(), command().render_help())];
        for (verb, mut command) in verbs() {
            pages.push((verb.clone(), command.render_help()));
            pages.push((verb, command.render_long_help()));
        }
        for (verb, page) in pages {
            for line in page.to_string().lines() {
                assert!(line.chars().count() <= WIDTH, "mcnn {verb} --help: {line}");
            }
        }
    }

    /// Names of options and verbs of earlier versions: (verb, old, new).
    const OLD_NAMES: [(&str, &str, &str); 33] = [
        ("embed", "white", "pixel_max"),
        ("embed", "actions", "action_columns"),
        ("encoder", "white", "pixel_max"),
        ("encoder", "actions", "action_columns"),
        ("encoder", "by", "objective"),
        ("encoder", "width", "embedding_dim"),
        ("encoder", "augment", "random_shift"),
        ("encoder", "check-on", "validation_fraction"),
        ("learn", "by", "selection"),
        ("learn", "smooth", "smooth_neighbors"),
        ("learn", "ignore", "ignore_dims"),
        ("train", "l", "amplitude"),
        ("train", "neighbours", "neighbors"),
        ("train", "check-on", "validation_fraction"),
        ("train", "distances", "distances"),
        ("train", "warm-up", "warmup_steps"),
        ("train", "cosine", "cosine_decay"),
        ("train", "clip", "grad_clip"),
        ("train", "predict", "prediction"),
        ("train", "pick", "bucket_selection"),
        ("collect", "expert", "actor"),
        ("eval", "lanes", "envs_per_worker"),
        ("eval", "beyond", "ood_quantile"),
        ("eval", "of", "ood_quantile_of"),
        ("eval", "calibrate", "calibration_data"),
        ("explain", "in", "data"),
        ("report", "in", "data"),
        ("report", "show", "show_episodes"),
        ("certify", "states", "data"),
        ("certify", "at-most", "max_bound"),
        ("certify", "actions", "action_count"),
        ("suggest", "begin", "start_states"),
        ("sweep", "retry", "retry_failed"),
    ];

    #[test]
    fn old_option_names_are_hidden_aliases_of_the_new_ones() {
        let verbs = verbs();
        let find = |name: &str| &verbs.iter().find(|(verb, _)| verb == name).expect("a verb").1;
        for (verb, old, new) in OLD_NAMES {
            let arg = find(verb).get_arguments().find(|arg| arg.get_id().as_str().replace('-', "_") == new);
            let arg = arg.unwrap_or_else(|| panic!("mcnn {verb} has no {new}"));
            assert!(arg.get_all_aliases().unwrap_or_default().contains(&old), "mcnn {verb} --{old}");
            assert!(!arg.get_visible_aliases().unwrap_or_default().contains(&old), "mcnn {verb} --{old}");
            let page = find(verb).clone().render_help().to_string();
            assert!(!page.contains(&format!("--{old} ")), "mcnn {verb} --help shows --{old}");
        }
        for verb in ["memory drop", "memory list"] {
            assert!(
                find(verb).get_arguments().any(|arg| arg.get_all_aliases() == Some(vec!["in"])),
                "{verb}"
            );
        }
    }

    #[test]
    fn text_is_wrapped_at_spaces_and_keeps_its_words() {
        assert_eq!(wrap("one two  three", 7), "one two\nthree");
        assert_eq!(wrap("longerthanthewidth a", 7), "longerthanthewidth\na");
        assert_eq!(wrap("", 7), "");
    }
}
