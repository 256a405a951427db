//! The command reference of the documentation, written from the definition of the command line itself.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use crate::args::Cli;

const HEAD: &str = "# Command reference

<!-- Written by `mcnn reference`. Do not edit: tests/book.rs says how to write it anew. -->

Every verb and every option, from the definition of the command line itself. `mcnn VERB --help` prints the same. Every verb also
takes `--json` (one line of JSON with the same figures: [JSON keys](../json.md)) and `--help`.

**Exit codes.** 0: done. 1: the answer is no, for example `certify --max-bound` with a larger bound. 2: failed; the message says
what to do. 130: interrupted, with everything saved.
";

/// All verbs as one page of Markdown.
pub fn markdown() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut page = String::from(HEAD);
    page.push_str("\n| verb | what it does |\n|---|---|\n");
    let verbs: Vec<&Command> = cli.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
    for verb in &verbs {
        let name = verb.get_name();
        let _ = writeln!(page, "| [`{name}`](#mcnn-{name}) | {} |", cell(&about(verb)));
    }
    for verb in verbs {
        describe(&mut page, verb, &format!("mcnn {}", verb.get_name()), 2);
    }
    page
}

/// A verb: its purpose, its usage, its arguments and options by heading; then the verbs below it.
fn describe(page: &mut String, verb: &Command, name: &str, level: usize) {
    let _ = write!(page, "\n{} {name}\n\n{}\n", "#".repeat(level), about(verb));
    let below: Vec<&Command> = verb.get_subcommands().filter(|v| !v.is_hide_set()).collect();
    if below.is_empty() {
        let usage = verb.clone().bin_name(name).render_usage().to_string();
        let _ = write!(page, "\n```text\n{}\n```\n", usage.trim_start_matches("Usage: ").trim());
    }
    let shown =
        |arg: &&Arg| !arg.is_hide_set() && !["help", "version", "json"].contains(&arg.get_id().as_str());
    let arguments: Vec<&Arg> = verb.get_arguments().filter(shown).collect();
    let mut headings: Vec<Option<&str>> = Vec::new();
    for arg in &arguments {
        let heading = heading(arg);
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading_of_table in headings {
        let title = heading_of_table.unwrap_or("option");
        let _ = write!(page, "\n| {} | |\n|---|---|\n", title.to_lowercase());
        for arg in arguments.iter().filter(|arg| heading(arg) == heading_of_table) {
            let _ = writeln!(page, "| {} | {} |", spelled(arg), cell(&explained(arg)));
        }
    }
    for sub in below {
        describe(page, sub, &format!("{name} {}", sub.get_name()), level + 1);
    }
}

/// Positional arguments are in a table of their own.
fn heading(arg: &Arg) -> Option<&str> {
    if arg.is_positional() { Some("Argument") } else { arg.get_help_heading() }
}

fn about(verb: &Command) -> String {
    let text = verb.get_long_about().or(verb.get_about()).map(ToString::to_string).unwrap_or_default();
    if text.is_empty() || text.ends_with('.') { text } else { text + "." }
}

/// An argument as it is typed: `-o`, `--output FILE`.
fn spelled(arg: &Arg) -> String {
    let takes_value = arg.get_action().takes_values() && !arg.is_positional();
    let value = arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default().replace('|', "\\|");
    if arg.is_positional() {
        return format!("`{value}`");
    }
    let short = arg.get_short().map(|c| format!("`-{c}`, ")).unwrap_or_default();
    let long = arg.get_long().unwrap_or_default();
    format!("{short}`--{long}{}`", if takes_value { format!(" {value}") } else { String::new() })
}

/// What an argument does, its possible values and its default, where the text does not say them.
fn explained(arg: &Arg) -> String {
    let mut text = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let flag = !arg.get_action().takes_values();
    let values: Vec<String> = arg.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
    if !flag && !values.is_empty() && !values.iter().all(|value| text.contains(value.as_str())) {
        let _ = write!(text, " [values: {}]", values.join(", "));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    if !flag && defaults.iter().any(|d| !d.is_empty()) && !text.contains("[default") {
        let _ = write!(text, " [default: {}]", defaults.join(","));
    }
    text
}

/// Text inside a table's cell: one line, no column ends, no HTML.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").split_whitespace().collect::<Vec<_>>().join(" ")
}
