//! Networks and OOD calibrations in files of policies and checkpoints.

use super::{
    DAMAGED, broken,
    bundle::{Array, Bundle},
};
use crate::{
    backbone::{Architecture, Arrays, Network},
    calibration::{CalibrationEpisode, OodCalibration},
    error::Result,
    train::TrainSettings,
};

pub(super) fn save_network(name: &str, network: &Network, bundle: &mut Bundle) {
    for (part, (shape, values)) in network.save_tensors() {
        bundle.put(&format!("{name}.{part}"), shape, Array::F32(values.into()));
    }
}

/// The prefix of the arrays of a member: `network`, `network_1` and so on.
pub(super) fn of_member(name: &str, member: usize) -> String {
    if member == 0 { name.into() } else { format!("{name}_{member}") }
}

/// The networks of `count` members; none if the file has no network.
pub(super) fn load_members(
    name: &str,
    count: usize,
    backbone: &Architecture,
    bundle: &Bundle,
) -> Result<Vec<Network>> {
    if count == 0 || count > TrainSettings::MOST_MEMBERS {
        return Err(broken("the number of networks is out of range").found(count.to_string()));
    }
    let load = |member| load_network(&of_member(name, member), backbone, bundle);
    let networks: Vec<Network> =
        (0..count).map(load).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    if networks.len() != count && !(networks.is_empty() && count == 1) {
        return Err(broken("networks are missing")
            .expected(format!("{count} networks"))
            .found(networks.len().to_string()));
    }
    Ok(networks)
}

/// The network whose arrays have names with the prefix `name`; `None` if there are no such arrays.
pub(super) fn load_network(
    name: &str,
    architecture: &Architecture,
    bundle: &Bundle,
) -> Result<Option<Network>> {
    let arrays: Arrays = bundle.f32s(&format!("{name}."));
    if arrays.is_empty() {
        return Ok(None);
    }
    if let Some((part, _)) = arrays.iter().find(|(_, (_, values))| values.iter().any(|v| !v.is_finite())) {
        return Err(broken("the network has weights that are NaN or infinite").at(format!("{name}.{part}")));
    }
    architecture.load_tensors(&arrays).map(Some).map_err(|e| e.within(name).next(DAMAGED))
}

pub(super) fn save_calibration(calibration: &OodCalibration, bundle: &mut Bundle) {
    let distances: Vec<f32> = calibration.episodes().iter().flat_map(|e| &e.distances).copied().collect();
    let episodes: Vec<u32> =
        calibration.episodes().iter().flat_map(|e| [e.number, e.distances.len() as u32]).collect();
    bundle.put("calibration.distances", vec![distances.len()], Array::F32(distances.into()));
    bundle.put("calibration.episodes", vec![episodes.len() / 2, 2], Array::U32(episodes.into())); // [n, (number, steps)]
    if let Some(typical) = calibration.stored_typical_distance() {
        bundle.put("calibration.typical", vec![1], Array::F32(vec![typical].into()));
    }
}

/// The OOD calibration; `None` if the file has none, as the first files of version 1 and policies on one episode.
pub(super) fn load_calibration(bundle: &mut Bundle) -> Result<Option<OodCalibration>> {
    let Some((_, mut rest)) = bundle.f32s("calibration.distances").remove("") else {
        return Ok(None);
    };
    let mut episodes = Vec::new();
    for pair in bundle.take_u32("calibration.episodes", 2)?.chunks_exact(2) {
        let (number, steps) = (pair[0], pair[1] as usize);
        if steps > rest.len() {
            return Err(broken("the lengths of the calibration's arrays disagree").at("calibration.episodes"));
        }
        let later = rest.split_off(steps);
        episodes.push(CalibrationEpisode { number, distances: std::mem::replace(&mut rest, later) });
    }
    if !rest.is_empty() {
        return Err(broken("the lengths of the calibration's arrays disagree").at("calibration.distances"));
    }
    let typical =
        bundle.f32s("calibration.typical").remove("").and_then(|(_, values)| values.first().copied());
    if let Some(found) = typical.filter(|t| !(t.is_finite() && *t > 0.0)) {
        return Err(broken("a typical distance that is not a positive number")
            .at("calibration.typical")
            .found(found.to_string()));
    }
    let calibration = OodCalibration::new(episodes).map_err(|e| e.next(DAMAGED))?;
    Ok(Some(calibration.with_typical_distance(typical)))
}
