//! Demonstrations whose steps stay in their file.

use std::path::Path;

use super::{FileSteps, file::ColumnsFile};
use crate::{
    data::{
        Demonstrations, DimensionNames, Outside, ReadOptions, ReadResult, Selection, action_range, number,
        raw::RawSteps,
        read::{Format, described, recognize},
        source::{Source, none_selected},
    },
    error::Result,
};

/// Demonstrations of a file of columns (`mcnn convert DATA -o FILE.mcnn`) that stay in the file: steps are read where they are asked for,
/// so that the memory does not grow with the file. Everything computed from them has the same bits as with [`read`](crate::data::read()), without rewards. `None` for other formats, and where keys
/// or dimensions are selected: read those whole.
///
/// A step that can no longer be read, because the file was cut short, has no error of its own: ask
/// [`Demonstrations::check_readable`] before results are used. [`learn`](crate::memory::learn) and [`train`](crate::train) do.
///
/// # Errors
/// As [`read`](crate::data::read()).
pub fn stream(path: &Path, options: &ReadOptions) -> Result<Option<ReadResult>> {
    let Selection { state, action, no_state, .. } = &options.selection;
    if !(state.is_empty() && action.is_empty()) || *no_state || recognize(path)?.0 != Format::Columns {
        return Ok(None);
    }
    open(path, options).map(Some).map_err(|e| e.within(path.display()))
}

fn open(path: &Path, options: &ReadOptions) -> Result<ReadResult> {
    options.selection.refuse_of_others(true, false)?;
    let file = ColumnsFile::open(path)?;
    let about = Source {
        names: file.about.dimension_names(),
        encoding: file.encoding(),
        origin: file.origin()?,
        ..Source::default()
    };
    let all = FileSteps::new(file, path.to_owned());
    let (steps, ends, about) = selected(&all, about, &options.selection)?;
    let found = scaled(steps, ends, &about.names, options)
        .and_then(|(data, outside)| described(data, outside, about, options));
    // What follows from steps that could not be read is wrong, an error included.
    all.file().check_readable().and(found)
}

/// The steps and the ends of the selected episodes, and what is known of them.
pub(super) fn selected(
    all: &FileSteps,
    about: Source,
    selection: &Selection,
) -> Result<(FileSteps, Vec<usize>, Source)> {
    let file = all.file();
    let is_of_task = |k: usize| selection.task.as_ref().is_none_or(|task| file.tasks.get(k) == Some(task));
    let is_taken = |k: &usize| selection.takes(file.episode_numbers[*k]) && is_of_task(*k);
    let which: Vec<usize> = (0..file.ends.len()).filter(is_taken).collect();
    if which.is_empty() {
        return Err(none_selected(selection, &file.episode_numbers, &file.tasks));
    }
    let (mut steps, mut ends) = (all.empty(), Vec::new());
    for &k in &which {
        let start = k.checked_sub(1).map_or(0, |before| file.ends[before]);
        steps.push(all, start..file.ends[k]);
        ends.push(steps.len());
    }
    let episode_numbers = which.iter().map(|&k| file.episode_numbers[k]).collect();
    let tasks = which.iter().filter_map(|&k| file.tasks.get(k).cloned()).collect();
    Ok((steps, ends, Source { episode_numbers, tasks, ..about }))
}

/// The steps as valid demonstrations with scaled actions, as [`Demonstrations::scaled`] makes them.
fn scaled(
    steps: FileSteps,
    ends: Vec<usize>,
    names: &DimensionNames,
    options: &ReadOptions,
) -> Result<(Demonstrations, Outside)> {
    let widths = steps.widths();
    number::check("states", &|f| steps.each_states(f), widths[0], &ends)?;
    number::check("actions", &|f| steps.each_actions(f), widths[1], &ends)?;
    let (units, range) = options.units.of(&steps, names, options.range)?;
    let steps = steps.scaled(units.clone(), false);
    let each =
        |f: &mut dyn FnMut(&[f32])| steps.pieces().into_iter().for_each(|piece| f(&steps.actions(piece)));
    number::check("actions", &each, widths[1], &ends)?;
    let outside = Outside::of_each(&each, widths[1]);
    let clips = action_range::check(&each, widths[1], range)?;
    let steps = steps.scaled(units.clone(), clips);
    Ok((Demonstrations::in_file(widths, steps, ends, units), outside))
}
