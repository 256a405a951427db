//! Weights of image networks: PyTorch's `.pth`, in both its forms, and `.safetensors`.
#![no_main]

mod common;

use mcnn::vision::Tensors;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(mut tensors) = Tensors::open(&common::file(bytes)) else { return };
    let all: Vec<(String, Vec<u64>)> = tensors.shapes().map(|(n, s)| (n.to_owned(), s.to_vec())).collect();
    for (name, shape) in all.iter().take(8) {
        let shape: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
        if let Ok(values) = tensors.read(name, &shape) {
            assert_eq!(values.len(), shape.iter().product::<usize>());
        }
    }
});
