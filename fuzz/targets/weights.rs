//! Weights of image networks: PyTorch's `.pth`, in both its forms, and `.safetensors`.
#![no_main]

mod common;

use mcnn::vision::Tensors;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(mut tensors) = Tensors::open(&common::file(bytes)) else { return };
    // A tensor may repeat one number for ever; networks ask for shapes of their own, of some millions of numbers at most.
    let asked =
        |shape: &[u64]| shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d)).is_some_and(|n| n <= 1 << 20);
    let shapes = tensors.shapes().filter(|(_, shape)| asked(shape));
    let all: Vec<(String, Vec<usize>)> =
        shapes.map(|(n, s)| (n.to_owned(), s.iter().map(|&n| n as usize).collect())).collect();
    for (name, shape) in all.iter().take(8) {
        if let Ok(values) = tensors.read(name, shape) {
            assert_eq!(values.len(), shape.iter().product::<usize>());
        }
    }
});
