//! The search: rows in pieces that fit a buffer, queries in batches of bounded work, and the merging of their lists.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use mcnn::{
    Result,
    memory::{BatchQuery, BatchSearch, Shortlist},
};
use wgpu::BufferUsages;

use crate::{adapter, device::Device};

/// The largest k that is searched on a GPU.
pub const K_MOST: usize = 16;
/// Candidates beyond the k wanted: the k-th is then proven nearest unless it is within rounding of the last.
const MORE: usize = 3;
/// Queries and rows of a workgroup's tile, as in the shader.
const TILE: usize = 64;
/// Lists of a query in a workgroup, as in the shader.
const QUARTERS: usize = 4;
/// Workgroups of a dispatch: enough to fill a large GPU twice.
const WORKGROUPS: usize = 1024;
/// Differences of numbers in a dispatch. Drivers end a dispatch of seconds; this many take less even if only 10^11 operations are done a
/// second.
const WORK: usize = 1 << 35;
/// Queries of a dispatch.
const MOST_QUERIES: usize = 4096;
/// Bytes of the rows on the GPU at a time. GPUs with less memory than this for one buffer say so in their limits.
const PIECE_BYTES: u64 = 1 << 30;

/// A GPU that searches.
pub struct Gpu {
    device: Device,
    piece_bytes: u64,
    pipelines: Mutex<HashMap<usize, Arc<wgpu::ComputePipeline>>>, // by the width of the lists
}

/// Rows on the GPU: a piece of a table.
struct Piece {
    rows: wgpu::Buffer,
    groups: wgpu::Buffer,
    len: usize,
    first: usize,
}

impl Gpu {
    /// Opens the best adapter: a GPU before software.
    ///
    /// # Errors
    /// If there is no adapter or none can be opened; the message lists them.
    pub fn open() -> Result<Self> {
        adapter::best(Self::of_adapter, adapter::SAME_RESULTS)
    }

    /// Opens an adapter. As an error, its name and why it cannot be used.
    pub(crate) fn of_adapter(adapter: &wgpu::Adapter) -> std::result::Result<Self, String> {
        let device = Device::open(adapter)?;
        let limits = device.device.limits();
        let piece_bytes = PIECE_BYTES.min(limits.max_buffer_size).min(limits.max_storage_buffer_binding_size);
        Ok(Self { device, piece_bytes, pipelines: Mutex::default() })
    }

    /// The same GPU with at most so many bytes of rows in a buffer, at least those of one row.
    pub fn with_piece_bytes(self, bytes: u64) -> Self {
        Self { piece_bytes: self.piece_bytes.min(bytes), ..self }
    }

    /// Ends the use of the device, as if its driver had been reset.
    pub fn lose(&self) {
        self.device.device.destroy();
    }

    /// The shader for lists of some width, compiled once.
    fn pipeline(&self, width: usize) -> Result<Arc<wgpu::ComputePipeline>> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&width) {
            return Ok(pipeline.clone());
        }
        let source = format!("const K: u32 = {width}u;\n{}", include_str!("nearest.wgsl"));
        let pipeline = self.device.pipeline("nearest", &source)?;
        let pipeline = Arc::new(pipeline);
        pipelines.insert(width, pipeline.clone());
        Ok(pipeline)
    }

    /// Searches one piece for all queries, and adds what it finds to their lists.
    fn search_piece(&self, query: &BatchQuery, piece: &Piece, lists: &mut Lists) -> Result<()> {
        let dim = query.dim;
        let fit = (self.piece_bytes / (dim * size_of::<f32>()) as u64) as usize;
        let batch = (WORK / (piece.len * dim)).min(fit).clamp(TILE, MOST_QUERIES) / TILE * TILE;
        for (i, queries) in query.queries.chunks(batch * dim).enumerate() {
            let first = i * batch;
            let groups = query.groups.map(|[_, groups]| &groups[first..first + queries.len() / dim]);
            let found = self.dispatch(queries, groups, dim, piece, lists.width)?;
            let found_by_query = found.len() / (queries.len() / dim);
            for (k, found) in found.chunks_exact(found_by_query).enumerate() {
                lists.merge(first + k, found, piece.first as u32);
            }
        }
        Ok(())
    }

    /// One dispatch: pairs of a row and the bits of its distance, for each query all lists of `width`.
    fn dispatch(
        &self,
        queries: &[f32],
        groups: Option<&[u32]>,
        dim: usize,
        piece: &Piece,
        width: usize,
    ) -> Result<Vec<u32>> {
        let (m, tiles) = (queries.len() / dim, piece.len.div_ceil(TILE));
        let tiles_of_chunk = tiles.div_ceil((WORKGROUPS / m.div_ceil(TILE)).clamp(1, tiles));
        let chunks = tiles.div_ceil(tiles_of_chunk);
        let found_bytes = m * chunks * QUARTERS * width * 2 * size_of::<u32>();
        let settings = [
            m as u32,
            piece.len as u32,
            dim as u32,
            tiles_of_chunk as u32,
            u32::from(groups.is_some()),
            0,
            0,
            0,
        ];
        let device = &self.device;
        let pipeline = self.pipeline(width)?;
        let settings = device.upload(bytemuck::cast_slice(&settings), BufferUsages::UNIFORM)?;
        let queries = device.upload(bytemuck::cast_slice(queries), BufferUsages::STORAGE)?;
        let groups = device.upload(bytemuck::cast_slice(groups.unwrap_or(&[])), BufferUsages::STORAGE)?;
        let found = device.buffer(found_bytes, BufferUsages::STORAGE | BufferUsages::COPY_SRC)?;
        let readable = device.buffer(found_bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
        let buffers = [&settings, &queries, &piece.rows, &groups, &piece.groups, &found];
        let bind_group =
            device.bind_group(&pipeline, buffers.map(wgpu::Buffer::as_entire_binding).to_vec())?;
        let mut encoder = device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &bind_group, &[]);
            pass.dispatch_workgroups(m.div_ceil(TILE) as u32, chunks as u32, 1);
        }
        encoder.copy_buffer_to_buffer(&found, 0, &readable, 0, found_bytes as u64);
        device.check()?;
        device.queue.submit([encoder.finish()]);
        device.download(&readable)
    }
}

impl BatchSearch for Gpu {
    fn name(&self) -> String {
        self.device.name.clone()
    }

    fn shortlist(&self, query: &BatchQuery) -> Result<Option<Shortlist>> {
        if query.k > K_MOST {
            return Ok(None);
        }
        let dim = query.dim;
        let bytes_fit = (self.piece_bytes / (dim * size_of::<f32>()) as u64) as usize;
        let rows = bytes_fit.min(WORK / (TILE * dim)).max(1);
        let mut lists = Lists::new(query.queries.len() / dim, query.k + MORE);
        for (i, part) in query.rows.chunks(rows * dim).enumerate() {
            let (first, len) = (i * rows, part.len() / dim);
            let groups = query.groups.map_or(&[][..], |[groups, _]| &groups[first..first + len]);
            let piece = Piece {
                rows: self.device.upload(bytemuck::cast_slice(part), BufferUsages::STORAGE)?,
                groups: self.device.upload(bytemuck::cast_slice(groups), BufferUsages::STORAGE)?,
                len,
                first,
            };
            self.search_piece(query, &piece, &mut lists)?;
        }
        Ok(Some(lists.into_shortlist()))
    }
}

/// The nearest rows of each query so far.
struct Lists {
    width: usize,
    rows: Vec<u32>, // [m, width]
    d2: Vec<f32>,   // [m, width], ascending
}

impl Lists {
    fn new(m: usize, width: usize) -> Self {
        Self { width, rows: vec![Shortlist::NONE; m * width], d2: vec![f32::MAX; m * width] }
    }

    /// Merges lists of a piece, each sorted, into those of a query. `found`: pairs of a row and the bits of its squared distance.
    fn merge(&mut self, query: usize, found: &[u32], first: u32) {
        let range = query * self.width..(query + 1) * self.width;
        let (rows, all_d2) = (&mut self.rows[range.clone()], &mut self.d2[range]);
        for list in found.chunks_exact(2 * self.width) {
            for pair in list.chunks_exact(2) {
                let (row, d2) = (pair[0], f32::from_bits(pair[1]));
                // Of equal distances the first found stay: the library finds out whether another could be nearer.
                let rank = all_d2.partition_point(|&kept| kept <= d2);
                if row == Shortlist::NONE || rank == self.width {
                    break;
                }
                rows[rank..].rotate_right(1);
                all_d2[rank..].rotate_right(1);
                (rows[rank], all_d2[rank]) = (first + row, d2);
            }
        }
    }

    fn into_shortlist(self) -> Shortlist {
        Shortlist { width: self.width, rows: self.rows, d2: self.d2 }
    }
}
