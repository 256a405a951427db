//! Codebooks in files of memories and policies.

use serde::{Deserialize, Serialize};

use super::{
    DAMAGED,
    bundle::{Array, Bundle},
    records,
};
use crate::{
    data::{ActionUnits, Angle, DimensionNames, Origin, Scale, Step},
    error::Result,
    memory::{Codebook, CodebookParts},
};

#[derive(Serialize, Deserialize)]
pub(super) struct CodebookHeader {
    by: String,
    seed: u64,
    smooth_neighbors: usize,
    data: String,
    n_states: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state_names: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action_names: Option<Vec<String>>,
    // Of actions that are relative to the state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    relative_to: Vec<Option<usize>>,
    // Of states with angles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    angles: Vec<Angle>,
    // Of actions that are relative to an angle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    turn_centers: Vec<f32>,
    #[serde(default, skip_serializing_if = "is_unknown")]
    origin: Origin,
}

fn is_unknown(origin: &Origin) -> bool {
    *origin == Origin::default()
}

/// Center and half range of each dimension of the action, where actions are not in [-1, 1] as they are.
const ACTION_SCALE: [&str; 2] = ["scale.action_center", "scale.action_half_range"];

pub(super) fn save_codebook<'a>(codebook: &'a Codebook, bundle: &mut Bundle<'a>) -> CodebookHeader {
    let (n, parts) = (codebook.len(), codebook.parts());
    let f32s = |values: &'a [f32]| Array::F32(values.into());
    bundle.put("scale.mean", vec![codebook.n_features()], f32s(&parts.scale.mean));
    bundle.put("scale.std", vec![codebook.n_features()], f32s(&parts.scale.std));
    if !parts.units.is_identity() {
        for (name, values) in ACTION_SCALE.iter().zip(parts.units.scales()) {
            bundle.put(name, vec![codebook.n_act()], f32s(values));
        }
    }
    bundle.put("memory.states", vec![n, codebook.n_obs()], f32s(&parts.states));
    bundle.put("memory.actions", vec![n, codebook.n_act()], f32s(&parts.actions));
    if !parts.future_actions.is_empty() {
        let shape = vec![n, codebook.horizon() - 1, codebook.n_act()];
        bundle.put("memory.future_actions", shape, f32s(&parts.future_actions));
    }
    records::save(&parts.episodes, bundle);
    let sources: Vec<u32> = parts.sources.iter().flat_map(|s| [s.episode, s.step]).collect();
    bundle.put("memory.sources", vec![n, 2], Array::U32(sources.into()));
    bundle.put("memory.edges", vec![parts.edges.len(), 2], Array::U32(parts.edges.as_flattened().into()));
    CodebookHeader {
        by: parts.selection.clone(),
        seed: parts.seed,
        smooth_neighbors: parts.smooth_neighbors,
        data: parts.data.clone(),
        n_states: parts.n_states,
        encoding: parts.encoding.clone(),
        state_names: parts.names.state_names.clone(),
        action_names: parts.names.action_names.clone(),
        relative_to: parts.units.relative_to().to_vec(),
        angles: parts.units.angles().to_vec(),
        turn_centers: parts.units.turn_centers().to_vec(),
        origin: parts.origin.clone(),
    }
}

/// The memories of a file. Takes their arrays out of the bundle.
pub(super) fn load_codebook(header: CodebookHeader, bundle: &mut Bundle) -> Result<Codebook> {
    let CodebookHeader {
        by,
        seed,
        smooth_neighbors,
        data,
        n_states,
        encoding,
        state_names,
        action_names,
        relative_to,
        angles,
        turn_centers,
        origin,
    } = header;
    let [center, half] =
        ACTION_SCALE.map(|name| bundle.f32s(name).remove("").map_or(Vec::new(), |(_, values)| values));
    let (states, actions) = (bundle.take_f32("memory.states", 2)?, bundle.take_f32("memory.actions", 2)?);
    let widths = [states.0[1], actions.0[1]];
    let units = ActionUnits::new(center, half, relative_to, widths)
        .and_then(|units| units.with_angles(angles.clone(), turn_centers, widths[0]))
        .map_err(|e| e.next(DAMAGED))?;
    let (mean, std) = (bundle.take_f32("scale.mean", 1)?, bundle.take_f32("scale.std", 1)?);
    let pairs = |values: Vec<u32>| values.chunks_exact(2).map(|p| [p[0], p[1]]).collect::<Vec<_>>();
    Codebook::new(CodebookParts {
        scale: Scale { mean: mean.1, std: std.1, angles },
        states: states.1,
        actions: actions.1,
        future_actions: match bundle.has("memory.future_actions") {
            true => bundle.take_f32("memory.future_actions", 3)?.1,
            false => Vec::new(),
        },
        sources: pairs(bundle.take_u32("memory.sources", 2)?)
            .into_iter()
            .map(|[episode, step]| Step { episode, step })
            .collect(),
        edges: pairs(bundle.take_u32("memory.edges", 2)?),
        smooth_neighbors,
        selection: by,
        seed,
        data,
        n_states,
        episodes: records::load(bundle)?,
        encoding,
        names: DimensionNames { state_names, action_names },
        units,
        origin,
    })
}
