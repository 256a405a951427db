//! The layers of a residual network as dispatches of a GPU.

use mcnn::{Result, vision::FoldedConvolution};
use wgpu::BufferUsages;

use crate::{adapter, device::Device};

/// Rows and columns of a workgroup's part of a convolution, and threads of one of a pooling, as in the shaders.
const ROWS: usize = 128;
const COLUMNS: usize = 64;
const POOL: usize = 256;
/// Bytes from the settings of one dispatch to the next: every device accepts multiples of it.
const SETTINGS_STRIDE: usize = 256;
/// Multiply-adds in one submission. Drivers end work of seconds; this takes less even at 10^11 multiply-adds a second.
const WORK: usize = 1 << 36;

/// The settings of a dispatch, as in the shaders.
type Settings = [u32; 12];

/// A convolution on the GPU.
pub(crate) struct Layer {
    pub from: usize,
    pub to: usize,
    kernel: usize,
    stride: usize,
    weights: wgpu::Buffer, // [kernel, kernel, from, to]
    bias: wgpu::Buffer,    // [to]
}

/// What a dispatch computes.
#[derive(Clone, Copy)]
pub(crate) enum Operation<'a> {
    Convolution { layer: &'a Layer, relu: bool },
    MaxPool { channels: usize },
    AveragePool { channels: usize },
}

impl Operation<'_> {
    /// Height and width of the output for an input of `size`.
    pub fn output(self, size: [usize; 2]) -> [usize; 2] {
        match self {
            Self::Convolution { layer, .. } => size.map(|side| side.div_ceil(layer.stride)),
            Self::MaxPool { .. } => size.map(|side| side.div_ceil(2)),
            Self::AveragePool { .. } => [1, 1],
        }
    }

    /// Channels of the output.
    pub fn channels(self) -> usize {
        match self {
            Self::Convolution { layer, .. } => layer.to,
            Self::MaxPool { channels } | Self::AveragePool { channels } => channels,
        }
    }

    /// Multiply-adds for `n` images of `size`.
    fn work(self, [height, width]: [usize; 2], n: usize) -> usize {
        let [out_height, out_width] = self.output([height, width]);
        match self {
            Self::Convolution { layer, .. } => {
                n * out_height * out_width * layer.kernel * layer.kernel * layer.from * layer.to
            }
            Self::MaxPool { channels } | Self::AveragePool { channels } => n * height * width * channels,
        }
    }
}

/// One dispatch: an operation on images of `size`, with indices of buffers.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    pub operation: Operation<'a>,
    pub size: [usize; 2],
    pub from: usize,
    pub added: Option<usize>,
    pub to: usize,
}

impl Step<'_> {
    /// Values of the output of one image.
    pub fn output_len(&self) -> usize {
        let [height, width] = self.operation.output(self.size);
        height * width * self.operation.channels()
    }

    fn settings(&self, n: usize) -> Settings {
        let [out_height, out_width] = self.operation.output(self.size);
        let (from, kernel, stride, relu) = match self.operation {
            Operation::Convolution { layer, relu } => (layer.from, layer.kernel, layer.stride, relu),
            Operation::MaxPool { channels } => (channels, 3, 2, false),
            Operation::AveragePool { channels } => (channels, 1, 1, false),
        };
        let (to, added) = (self.operation.channels(), self.added.is_some());
        let [height, width] = self.size;
        let counts = [n, height, width, from, out_height, out_width, to, kernel, stride, kernel / 2];
        let mut settings = [0; 12];
        settings.iter_mut().zip(counts).for_each(|(to, count)| *to = count as u32);
        settings[10..].copy_from_slice(&[u32::from(added), u32::from(relu)]);
        settings
    }

    /// Workgroups of a dispatch for `n` images.
    fn workgroups(&self, n: usize) -> [u32; 2] {
        let values = n * self.output_len();
        let [x, y] = match self.operation {
            Operation::Convolution { layer, .. } => {
                [layer.to.div_ceil(COLUMNS), (values / layer.to).div_ceil(ROWS)]
            }
            _ => {
                let workgroups = (values / 4).div_ceil(POOL);
                let x = workgroups.min(1 << 15);
                [x, workgroups.div_ceil(x)]
            }
        };
        [x as u32, y as u32]
    }
}

/// A GPU that computes layers.
pub(crate) struct Layers {
    pub device: Device,
    convolution: wgpu::ComputePipeline,
    max_pool: wgpu::ComputePipeline,
    average_pool: wgpu::ComputePipeline,
}

impl Layers {
    /// Opens an adapter. As an error, its name and why it cannot be used.
    pub fn of_adapter(adapter: &wgpu::Adapter) -> std::result::Result<Self, String> {
        let device = Device::open(adapter)?;
        let pipeline = |name, source| {
            let pipeline = device.pipeline(name, source);
            pipeline.map_err(|e| format!("{}: {e}", adapter::describe(&adapter.get_info())))
        };
        let pooling = include_str!("pooling.wgsl");
        Ok(Self {
            convolution: pipeline("convolution", include_str!("convolution.wgsl"))?,
            max_pool: pipeline("max_pool", pooling)?,
            average_pool: pipeline("average_pool", pooling)?,
            device,
        })
    }

    /// Uploads a convolution.
    pub fn upload(&self, layer: &FoldedConvolution) -> Result<Layer> {
        let FoldedConvolution { from, to, kernel, stride, .. } = *layer;
        let taps = kernel * kernel;
        let mut weights = vec![0.0_f32; layer.weights.len()];
        for (i, values) in layer.weights.chunks_exact(taps).enumerate() {
            let (channel, out) = (i % from, i / from);
            for (tap, value) in values.iter().enumerate() {
                weights[(tap * from + channel) * to + out] = *value;
            }
        }
        let upload = |values: &[f32]| self.device.upload(bytemuck::cast_slice(values), BufferUsages::STORAGE);
        Ok(Layer { from, to, kernel, stride, weights: upload(&weights)?, bias: upload(&layer.bias)? })
    }

    /// Computes steps on `n` images, one after another, and returns the first `len` values of the last step's output.
    pub fn run(&self, steps: &[Step], buffers: &[wgpu::Buffer], n: usize, len: usize) -> Result<Vec<u32>> {
        let device = &self.device;
        let mut all_settings = vec![0_u32; steps.len() * SETTINGS_STRIDE / size_of::<u32>()];
        for (step, to) in steps.iter().zip(all_settings.chunks_exact_mut(SETTINGS_STRIDE / size_of::<u32>()))
        {
            to[..12].copy_from_slice(&step.settings(n));
        }
        let settings = device.upload(bytemuck::cast_slice(&all_settings), BufferUsages::UNIFORM)?;
        let readable =
            device.buffer(len * size_of::<f32>(), BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
        let mut encoder = device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut work = 0;
        for (i, step) in steps.iter().enumerate() {
            let (from, to) = (&buffers[step.from], &buffers[step.to]);
            let (pipeline, bound) = match step.operation {
                Operation::Convolution { layer, .. } => {
                    let added = step.added.map_or(&layer.bias, |added| &buffers[added]);
                    (&self.convolution, vec![from, &layer.weights, &layer.bias, added, to])
                }
                Operation::MaxPool { .. } => (&self.max_pool, vec![from, to]),
                Operation::AveragePool { .. } => (&self.average_pool, vec![from, to]),
            };
            let own_settings = wgpu::BufferBinding {
                buffer: &settings,
                offset: (i * SETTINGS_STRIDE) as u64,
                size: std::num::NonZeroU64::new(size_of::<Settings>() as u64),
            };
            let mut resources = vec![wgpu::BindingResource::Buffer(own_settings)];
            resources.extend(bound.into_iter().map(|buffer| buffer.as_entire_binding()));
            let bind_group = device.bind_group(pipeline, resources)?;
            if work + step.operation.work(step.size, n) > WORK && work > 0 {
                let next = device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                device.queue.submit([std::mem::replace(&mut encoder, next).finish()]);
                work = 0;
            }
            work += step.operation.work(step.size, n);
            let [x, y] = step.workgroups(n);
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &bind_group, &[]);
            pass.dispatch_workgroups(x, y, 1);
        }
        if let Some(last) = steps.last() {
            encoder.copy_buffer_to_buffer(
                &buffers[last.to],
                0,
                &readable,
                0,
                (len * size_of::<f32>()) as u64,
            );
        }
        device.check()?;
        device.queue.submit([encoder.finish()]);
        device.download(&readable)
    }
}
