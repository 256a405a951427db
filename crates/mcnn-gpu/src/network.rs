//! Residual networks: the order of their layers, and batches of frames that fit the device's buffers.

use std::sync::{Mutex, PoisonError};

use mcnn::{
    Error, Result,
    error::Kind,
    vision::{BatchEmbed, Design, FoldedConvolution, Network},
};
use wgpu::BufferUsages;

use crate::{
    adapter,
    layers::{Layer, Layers, Operation, Step},
};

/// Bytes of the largest of the buffers of activations, of which there are four: 83 frames of 224 x 224 pixels.
const BATCH_BYTES: u64 = 256 << 20;
/// The same for a single large frame.
const FRAME_BYTES: u64 = 1 << 30;
/// The buffers: four of activations, the frames, the embeddings.
const FRAMES: usize = 4;
const EMBEDDINGS: usize = 5;
const BUFFERS: usize = 6;

/// A GPU for the residual networks of [`mcnn::vision`].
pub struct Embedder {
    layers: Layers,
    batch_bytes: u64,
    frame_bytes: u64,
}

impl Embedder {
    /// Opens the best adapter: a GPU before software.
    ///
    /// # Errors
    /// If there is no adapter or none can be opened; the message lists them.
    pub fn open() -> Result<Self> {
        let layers = adapter::best(Layers::of_adapter, adapter::LAST_DIGITS)?;
        let limits = layers.device.device.limits();
        let frame_bytes = FRAME_BYTES.min(limits.max_buffer_size).min(limits.max_storage_buffer_binding_size);
        Ok(Self { layers, batch_bytes: BATCH_BYTES.min(frame_bytes), frame_bytes })
    }

    /// The name of the device.
    pub fn name(&self) -> String {
        self.layers.device.name.clone()
    }

    /// The same GPU with at most so many bytes in a buffer of activations: those of a batch, but at least of one frame, which has at most
    /// `frame` bytes.
    pub fn with_bytes(self, batch: u64, frame: u64) -> Self {
        Self { batch_bytes: self.batch_bytes.min(batch), frame_bytes: self.frame_bytes.min(frame), ..self }
    }

    /// Uploads a residual network.
    ///
    /// # Errors
    /// The small network of `mcnn encoder`, and a device that fails.
    pub fn load(self, network: &Network) -> Result<GpuNetwork> {
        let folded = network.folded().ok_or_else(|| {
            Error::new(Kind::Settings, "this network does not run on a GPU")
                .at("--device gpu")
                .expected("a residual network: resnet18, resnet34 or resnet50")
                .found(network.design().to_string())
                .next("leave out --device gpu: the small network is fast on the processor")
        })?;
        let upload = |layer| self.layers.upload(layer);
        let stem = upload(&folded.stem)?;
        let mut blocks = Vec::with_capacity(folded.blocks.len());
        for block in &folded.blocks {
            blocks.push(Block {
                layers: block.layers.iter().map(upload).collect::<Result<_>>()?,
                shortcut: block.shortcut.as_ref().map(upload).transpose()?,
            });
        }
        let design = network.design();
        Ok(GpuNetwork { design, stem, blocks, buffers: Mutex::default(), embedder: self })
    }

    /// One convolution by itself, for tests: `input` is `[n, height, width, from]`, the result `[n, height, width, to]` of the output, as
    /// is what is `added` to it before the ReLU. `layer.to` is a multiple of 4.
    ///
    /// # Errors
    /// A device that fails.
    pub fn convolve(
        &self,
        layer: &FoldedConvolution,
        input: &[f32],
        size: [usize; 2],
        added: Option<&[f32]>,
        relu: bool,
    ) -> Result<Vec<f32>> {
        let n = input.len() / (size[0] * size[1] * layer.from);
        let layer = &self.layers.upload(layer)?;
        let operation = Operation::Convolution { layer, relu };
        let step = Step { operation, size, from: 0, added: added.map(|_| 1), to: 2 };
        let device = &self.layers.device;
        let upload = |values: &[f32]| device.upload(bytemuck::cast_slice(values), BufferUsages::STORAGE);
        let len = n * step.output_len();
        let output = device.buffer(len * size_of::<f32>(), BufferUsages::STORAGE | BufferUsages::COPY_SRC)?;
        let buffers = [upload(input)?, upload(added.unwrap_or(&[]))?, output];
        Ok(self.layers.run(&[step], &buffers, n, len)?.into_iter().map(f32::from_bits).collect())
    }
}

struct Block {
    layers: Vec<Layer>,
    shortcut: Option<Layer>,
}

/// A residual network on a GPU.
pub struct GpuNetwork {
    embedder: Embedder,
    design: Design,
    stem: Layer,
    blocks: Vec<Block>,
    buffers: Mutex<Vec<wgpu::Buffer>>, // reused by batches that they suffice for
}

impl GpuNetwork {
    /// Ends the use of the device, as if its driver had been reset.
    pub fn lose(&self) {
        self.embedder.layers.device.device.destroy();
    }

    /// The steps from frames of `size` to embeddings.
    fn steps(&self, size: [usize; 2]) -> Vec<Step<'_>> {
        let convolution = |layer, relu| Operation::Convolution { layer, relu };
        let stem = Step { operation: convolution(&self.stem, true), size, from: FRAMES, added: None, to: 0 };
        let mut size = stem.operation.output(size);
        let pool = Operation::MaxPool { channels: self.stem.to };
        let mut steps = vec![stem, Step { operation: pool, size, from: 0, added: None, to: 1 }];
        size = pool.output(size);
        let (mut input, mut channels) = (1, self.stem.to);
        for block in &self.blocks {
            // The buffers that do not have the block's input: its layers write the first two in turn.
            let [first, second, shortcut] = [1, 2, 3].map(|k| (input + k) % FRAMES);
            let mut added = input;
            if let Some(layer) = &block.shortcut {
                let operation = convolution(layer, false);
                steps.push(Step { operation, size, from: input, added: None, to: shortcut });
                added = shortcut;
            }
            let mut from = input;
            for (k, layer) in block.layers.iter().enumerate() {
                let to = if from == first { second } else { first };
                let added = (k + 1 == block.layers.len()).then_some(added);
                let operation = convolution(layer, true);
                steps.push(Step { operation, size, from, added, to });
                size = operation.output(size);
                (from, channels) = (to, layer.to);
            }
            input = from;
        }
        let operation = Operation::AveragePool { channels };
        steps.push(Step { operation, size, from: input, added: None, to: EMBEDDINGS });
        steps
    }

    /// Makes the buffers for `n` frames with activations of `activation` values a frame, if those there do not suffice.
    fn make_buffers(
        &self,
        buffers: &mut Vec<wgpu::Buffer>,
        n: usize,
        frame: usize,
        activation: usize,
    ) -> Result<()> {
        let values = |buffer| match buffer {
            FRAMES => n * frame,
            EMBEDDINGS => n * self.design.width(),
            _ => n * activation,
        };
        let bytes = [0, 1, 2, 3, FRAMES, EMBEDDINGS].map(|buffer| values(buffer) * size_of::<f32>());
        let suffice = |(buffer, &bytes): (&wgpu::Buffer, &usize)| buffer.size() >= bytes as u64;
        if buffers.len() == BUFFERS && buffers.iter().zip(&bytes).all(suffice) {
            return Ok(());
        }
        let largest: Vec<usize> = match buffers.len() {
            BUFFERS => buffers.iter().zip(bytes).map(|(old, new)| new.max(old.size() as usize)).collect(),
            _ => bytes.to_vec(),
        };
        buffers.clear(); // their memory is free for the new ones
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        for bytes in largest {
            buffers.push(self.embedder.layers.device.buffer(bytes, usage)?);
        }
        Ok(())
    }
}

impl BatchEmbed for GpuNetwork {
    fn design(&self) -> Design {
        self.design
    }

    fn device(&self) -> Option<String> {
        Some(self.embedder.name())
    }

    fn embed_batch(&self, frames: &[f32], size: [usize; 2], to: &mut [f32]) -> Result<()> {
        let (frame, width) = (size[0] * size[1] * 3, self.design.width());
        let n = to.len() / width;
        assert_eq!((frames.len(), to.len()), (n * frame, n * width), "{n} frames of {size:?}");
        if n == 0 {
            return Ok(());
        }
        let steps = self.steps(size);
        let activations = steps.iter().filter(|step| step.to < FRAMES).map(Step::output_len);
        let largest = activations.max().unwrap_or(0);
        let bytes = (largest.max(frame) * size_of::<f32>()) as u64;
        let most = self.embedder.frame_bytes;
        if bytes > most {
            return Err(Error::new(Kind::Settings, "frames too large for the GPU")
                .at(self.embedder.name())
                .expected(format!("at most {} MiB of activations for a layer of a frame", most >> 20))
                .found(format!("{} MiB of frames of {} x {} pixels", bytes >> 20, size[0], size[1]))
                .next("a smaller --preset NAME:HEIGHTxWIDTH, or --device cpu"));
        }
        let together = (self.embedder.batch_bytes / bytes).clamp(1, n as u64) as usize;
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_buffers(&mut buffers, together, frame, largest)?;
        let layers = &self.embedder.layers;
        for (frames, to) in frames.chunks(together * frame).zip(to.chunks_mut(together * width)) {
            layers.device.queue.write_buffer(&buffers[FRAMES], 0, bytemuck::cast_slice(frames));
            let found = layers.run(&steps, &buffers, frames.len() / frame, to.len())?;
            to.iter_mut().zip(found).for_each(|(to, bits)| *to = f32::from_bits(bits));
            // Shaders need not keep NaN and infinity.
            for (to, frame) in to.chunks_exact_mut(width).zip(frames.chunks_exact(frame)) {
                if !frame.iter().fold(true, |finite, v| finite & v.is_finite()) {
                    to.fill(f32::NAN);
                }
            }
        }
        Ok(())
    }
}
