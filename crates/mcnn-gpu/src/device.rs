//! A device of wgpu whose errors are values: an error of a call, memory that does not suffice, or a device that was lost.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use mcnn::{Error, Result, error::Kind};

use crate::adapter;

/// An open device. The first error of any call is kept, and every later call returns it.
pub(crate) struct Device {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub name: String,
    failure: Arc<Mutex<Option<String>>>,
}

impl Device {
    pub fn open(adapter: &wgpu::Adapter) -> std::result::Result<Self, String> {
        let (device, queue) = adapter::open(adapter)?;
        let failure = Arc::new(Mutex::new(None));
        let keep = |failure: &Arc<Mutex<Option<String>>>| {
            let failure = failure.clone();
            move |text: String| {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
            }
        };
        let keep_error = keep(&failure);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            keep_error(one_line(&error.to_string()))
        }));
        let keep_loss = keep(&failure);
        device.set_device_lost_callback(move |reason, text| {
            keep_loss(one_line(&format!("the device was lost ({reason:?}): {text}")))
        });
        Ok(Self { device, queue, name: adapter::describe(&adapter.get_info()), failure })
    }

    /// The error of a failure.
    pub fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::new(Kind::Settings, "the GPU failed").at(self.name.clone()).found(what.to_string())
    }

    /// An error, if one has been kept.
    pub fn check(&self) -> Result<()> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(text) => Err(self.error(text)),
            None => Ok(()),
        }
    }

    /// The pipeline of an entry point, compiled.
    pub fn pipeline(&self, entry_point: &str, source: &str) -> Result<wgpu::ComputePipeline> {
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(entry_point),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry_point),
            layout: None,
            module: &module,
            entry_point: Some(entry_point),
            compilation_options: Default::default(),
            cache: None,
        });
        self.check()?;
        Ok(pipeline)
    }

    /// The bind group of a pipeline; the resources have the bindings 0, 1 and so on.
    pub fn bind_group(
        &self,
        pipeline: &wgpu::ComputePipeline,
        resources: Vec<wgpu::BindingResource>,
    ) -> Result<wgpu::BindGroup> {
        let entry = |(resource, binding)| wgpu::BindGroupEntry { binding, resource };
        let entries: Vec<_> = resources.into_iter().zip(0..).map(entry).collect();
        let bind_group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        self.check()?;
        Ok(bind_group)
    }

    /// A buffer with contents; it is never empty.
    pub fn upload(&self, bytes: &[u8], usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let buffer = self.buffer(bytes.len(), usage | wgpu::BufferUsages::COPY_DST)?;
        if !bytes.is_empty() {
            self.queue.write_buffer(&buffer, 0, bytes);
        }
        self.check()?;
        Ok(buffer)
    }

    /// A buffer of zeros.
    pub fn buffer(&self, bytes: usize, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let size = (bytes as u64).max(4);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        });
        self.check()?;
        Ok(buffer)
    }

    /// The contents of a buffer that can be mapped, once all commands submitted are done.
    pub fn download(&self, buffer: &wgpu::Buffer) -> Result<Vec<u32>> {
        self.check()?;
        let (send, receive) = mpsc::channel();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            let _ = send.send(result);
        });
        self.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|e| self.error(e))?;
        self.check()?;
        match receive.try_recv() {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(self.error(e)),
            Err(_) => return Err(self.error("the results cannot be read")),
        }
        let view = buffer.get_mapped_range(..).map_err(|e| self.error(e))?;
        let words = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        buffer.unmap();
        Ok(words)
    }
}

/// The lines of a message as one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
