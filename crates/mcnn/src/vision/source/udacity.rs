//! A log of Udacity's simulator: `driving_log.csv` with paths of the machine that recorded it, of which the last part lies in `IMG/`.

use std::path::Path;

use super::{
    csv,
    folder::{Recorded, Row, column, number},
};
use crate::error::Result;

/// The columns, which the log names only in some copies.
const COLUMNS: [&str; 7] = ["center", "left", "right", "steering", "throttle", "brake", "speed"];
/// How many of them are paths.
const CAMERAS: usize = 3;

pub(super) fn read(path: &Path) -> Result<Recorded> {
    let file = path.join("driving_log.csv");
    let table = csv::read(&file, Some(&COLUMNS), Some(&with_points))?;
    let column = |name: &str| column(&table, name, &file);
    let (center, steering) = (column("center")?, column("steering")?);
    let (throttle, brake) = (column("throttle")?, column("brake")?);
    let mut found = Recorded::new(
        "a log of Udacity's simulator, its center camera; actions: throttle less brake, steering",
    );
    found.warnings.extend(table.warnings.clone());
    let name_of = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    for (i, row) in table.rows.iter().enumerate() {
        let number = |k: usize| number(&row[k], &table.names[k], i, &file);
        found.rows.push(Row {
            picture: path.join("IMG").join(name_of(&row[center])),
            action: vec![number(throttle)? - number(brake)?, number(steering)?],
            reward: None,
            episode: String::new(),
        });
        for side in ["left", "right"] {
            if let Some(k) = table.names.iter().position(|name| name == side)
                && !row[k].is_empty()
            {
                found.other_pictures.insert(name_of(&row[k]));
            }
        }
    }
    let there = found.other_pictures.iter().filter(|name| path.join("IMG").join(name).is_file()).count();
    if there > 0 {
        found
            .notes
            .push(format!("the left and the right camera, {there} pictures, and the speed are not used"));
    }
    Ok(found)
}

/// The values of a row whose numbers have decimal commas, as simulators write them under the settings of many countries, with the
/// same comma between the values: `0,25,0,1,5E-05,0,12,3`. `None` if there is not exactly one way to read it.
///
/// The simulator's numbers leave little doubt. A fraction does not end with 0; steering, throttle and brake are at most 1, so a whole
/// one is 0 or 1; and the speed is 0 or has a fraction.
fn with_points(values: &[String]) -> Option<Vec<String>> {
    let (paths, parts) = values.split_at_checked(CAMERAS)?;
    let mut ways = Vec::new();
    ways_to_read(parts, &mut Vec::new(), &mut ways);
    let [way] = &ways[..] else { return None };
    Some(paths.iter().chain(way).cloned().collect())
}

fn ways_to_read(parts: &[String], before: &mut Vec<String>, ways: &mut Vec<Vec<String>>) {
    let left = COLUMNS.len() - CAMERAS - before.len();
    if left == 0 {
        if parts.is_empty() {
            ways.push(before.clone());
        }
        return;
    }
    let is_speed = left == 1;
    let fits = |text: &str| text.parse::<f32>().is_ok_and(|v| is_speed || v.abs() <= 1.0);
    if let [whole, rest @ ..] = parts {
        let is_exponential = |text: &str| text.trim_start_matches('-').as_bytes().get(1) == Some(&b'E');
        let single = matches!(whole.as_str(), "0" | "-0") || is_exponential(whole) || !is_speed;
        if single && is_whole(whole.split('E').next().unwrap_or_default()) && fits(whole) {
            before.push(whole.clone());
            ways_to_read(rest, before, ways);
            before.pop();
        }
    }
    if let [whole, fraction, rest @ ..] = parts {
        let text = format!("{whole}.{fraction}");
        let (digits, exponent) =
            fraction.split_once('E').map_or((fraction.as_str(), false), |(d, _)| (d, true));
        let is_fraction =
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.ends_with('0');
        // With an exponent, the whole part is not 0.
        let is_normal = !exponent || !matches!(whole.as_str(), "0" | "-0");
        if is_whole(whole) && is_fraction && is_normal && fits(&text) {
            before.push(text);
            ways_to_read(rest, before, ways);
            before.pop();
        }
    }
}

fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(line: &str) -> Option<Vec<String>> {
        let values: Vec<String> = format!("c.jpg,l.jpg,r.jpg,{line}").split(',').map(str::to_owned).collect();
        with_points(&values).map(|values| values[CAMERAS..].to_vec())
    }

    #[test]
    fn decimal_commas_are_told_from_the_commas_between_values() {
        for (line, expected) in [
            ("0,0,0,5,12", ["0", "0", "0", "5.12"]),
            ("0,0,0,7,83E-05", ["0", "0", "0", "7.83E-05"]),
            ("0,5,0,0,0", ["0.5", "0", "0", "0"]),
            ("0,0,5,0,30,19", ["0", "0.5", "0", "30.19"]),
            ("-0,25,1,0,30,19027", ["-0.25", "1", "0", "30.19027"]),
            ("-0,25,0,5,0,125,3,7", ["-0.25", "0.5", "0.125", "3.7"]),
            ("0,3,0,5E-05,1,5", ["0.3", "0", "5E-05", "1.5"]),
        ] {
            assert_eq!(numbers(line).as_deref(), Some(&expected.map(String::from)[..]), "{line}");
        }
        // The brake 1 after a steering of 0.1, or 0.1 after a throttle of 1.
        assert_eq!(numbers("0,1,0,1,3,5"), None);
        // A steering of 0.3 or a throttle of 3.5E-05.
        assert_eq!(numbers("0,3,5E-05,0,1,5"), None);
        assert_eq!(numbers("0,1,2,3,4,5,6,7,8"), None);
        assert_eq!(numbers("a,b,c,d,e"), None);
    }
}
