//! The frames of an HDF5 file of robomimic: `data/demo_K/obs/KEY`, read by rows of chunks.

use hdf5_reader::Dataset;

use super::{OBS, demo::Demo};
use crate::{
    data::{
        cameras::{Block, Camera, Episodes, Found, ReadBlocks, Request, Rows, select},
        frame_file::{check_memory, rows_of, rows_together},
        hdf5::Flat,
        read::are_color_frames,
    },
    error::{Error, Kind, Result},
};

/// The cameras of a file, and the file.
pub(in crate::data) fn cameras(request: &Request) -> Result<Found> {
    let &Request { path, length, asked, episodes } = request;
    let file = Flat::open(path, length)?;
    let Some(data) = file.inside("data")? else {
        return Err(Error::new(Kind::Data, "missing key").at("/data"));
    };
    let first = Demo::open(&data, episodes.numbers.first().copied().unwrap_or(0))?;
    let (mut there, mut others, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
    for (name, shape, dtype) in first.listing() {
        let Some(key) = name.strip_prefix(OBS) else { continue };
        let is_pixel = dtype == "8-bit integers" || dtype.ends_with("floats");
        if is_pixel && are_color_frames(&shape) {
            there.push(key.to_owned());
            shapes.push(shape[1..].iter().map(|&n| n as usize).collect::<Vec<usize>>());
        } else {
            others.push(key.to_owned());
        }
    }
    // The group may be named.
    let asked: Vec<String> =
        asked.iter().map(|key| key.strip_prefix(OBS).unwrap_or(key).to_owned()).collect();
    let mut cameras = Vec::new();
    for at in select(&asked, &there, &others).map_err(|e| e.within("/data/demo_K/obs"))? {
        let mut datasets = Vec::new();
        for (k, &number) in episodes.numbers.iter().enumerate() {
            let dataset = Demo::open(&data, number)?.frames(&there[at])?;
            let expected = [episodes.steps(k).len()].into_iter().chain(shapes[at].iter().copied());
            if !dataset.shape().iter().map(|&n| n as usize).eq(expected.clone()) {
                return Err(Error::new(
                    Kind::Data,
                    "frames of another number or shape than the episode's steps",
                )
                .at(format!("/data/demo_{number}/obs/{}", there[at]))
                .expected(format!("{:?}", expected.collect::<Vec<usize>>()))
                .found(format!("{:?}", dataset.shape())));
            }
            check_memory(&dataset, length)?;
            datasets.push(dataset);
        }
        let episodes = episodes.clone();
        let frames = Frames { datasets, episodes, width: shapes[at].iter().product() };
        cameras.push(Camera::of_blocks(there[at].clone(), shapes[at].clone(), frames));
    }
    Ok((cameras, vec![path.into()]))
}

/// The datasets of one camera: one for each episode.
struct Frames {
    datasets: Vec<Dataset>,
    episodes: Episodes,
    width: usize,
}

impl ReadBlocks for Frames {
    fn locate(&self, step: usize) -> (Block, usize) {
        let (k, row) = self.episodes.locate(step);
        let high = rows_together(&self.datasets[k]) as usize;
        ([k, row / high], row % high)
    }

    fn load(&mut self, [k, block]: Block) -> Result<Rows> {
        let dataset = &self.datasets[k];
        let high = rows_together(dataset);
        let first = block as u64 * high;
        rows_of(dataset, first..(first + high).min(dataset.shape()[0]))
    }

    fn width(&self) -> usize {
        self.width
    }
}
