//! The adapters of this machine: what wgpu calls a GPU, or a program that stands for one, with its driver.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use mcnn::{Error, Result, error::Kind};

/// What an adapter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdapterKind {
    /// A GPU.
    Gpu,
    /// A program on the processor, such as Mesa's lavapipe. It is for tests: searches of the processor itself are faster.
    Software,
}

/// What there is, best first: a line for each adapter, such as `NVIDIA H200 (vulkan, discrete GPU)`.
pub fn adapters() -> Vec<(String, AdapterKind)> {
    found().iter().map(|adapter| (describe(&adapter.get_info()), kind(&adapter.get_info()))).collect()
}

/// The adapters, GPUs with their own memory first, software last.
pub(crate) fn found() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    // The default asks for the validation layers of Vulkan in builds for debugging.
    descriptor.flags = wgpu::InstanceFlags::empty();
    let mut found = ready(wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::PRIMARY));
    found.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::VirtualGpu => 1,
        wgpu::DeviceType::IntegratedGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    found
}

pub(crate) fn kind(info: &wgpu::AdapterInfo) -> AdapterKind {
    match info.device_type {
        wgpu::DeviceType::Cpu => AdapterKind::Software,
        _ => AdapterKind::Gpu,
    }
}

pub(crate) fn describe(info: &wgpu::AdapterInfo) -> String {
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::Other => "of unknown kind",
        wgpu::DeviceType::Cpu => "software",
    };
    format!("{} ({}, {kind})", info.name.trim(), info.backend)
}

/// What a search is without a GPU, and embedding.
pub(crate) const SAME_RESULTS: &str = "the results are the same";
pub(crate) const LAST_DIGITS: &str = "embeddings differ in the last digits only";

/// What `open` makes of the best adapter that can be opened; `otherwise` says what follows from using none.
///
/// # Errors
/// If there is none; the message says what is wrong with each.
pub(crate) fn best<T>(
    open: impl Fn(&wgpu::Adapter) -> std::result::Result<T, String>,
    otherwise: &str,
) -> Result<T> {
    let mut tried = Vec::new();
    for adapter in found() {
        match open(&adapter) {
            Ok(opened) => return Ok(opened),
            Err(why) => tried.push(why),
        }
    }
    let there_is = match &tried[..] {
        [] => "no adapter: no driver for Vulkan, Metal or DirectX 12 was found".to_owned(),
        tried => tried.join("; "),
    };
    Err(Error::new(Kind::Settings, "there is no GPU that can be used")
        .at("--device gpu")
        .expected("an adapter with a driver for Vulkan, Metal or DirectX 12")
        .found(there_is)
        .next(format!("install the driver of the GPU, or leave out --device gpu: {otherwise}")))
}

/// The value of a future of wgpu. Outside a browser they are ready at once.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
        std::thread::yield_now();
    }
}

/// Opens the device of an adapter, with its largest buffers.
pub(crate) fn open(adapter: &wgpu::Adapter) -> std::result::Result<(wgpu::Device, wgpu::Queue), String> {
    let there = adapter.limits();
    let required_limits = wgpu::Limits {
        max_buffer_size: there.max_buffer_size,
        max_storage_buffer_binding_size: there.max_storage_buffer_binding_size,
        ..wgpu::Limits::default()
    };
    let descriptor = wgpu::DeviceDescriptor { label: Some("mcnn"), required_limits, ..Default::default() };
    ready(adapter.request_device(&descriptor)).map_err(|e| format!("{}: {e}", describe(&adapter.get_info())))
}
