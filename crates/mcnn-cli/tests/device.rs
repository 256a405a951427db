//! `--device`: the same results on every device, and what is said where there is none.

use crate::common::Bench;

const VERBS: [&str; 4] = [
    "learn drive.npz -o l.safetensors --force",
    "train drive.npz -o t.safetensors --steps 2 --hidden 8 --force",
    "certify p.safetensors --data drive.npz --horizon 9",
    "suggest drive.npz m.safetensors",
];

#[test]
fn devices_are_auto_cpu_and_gpu() {
    let bench = Bench::with_policy();
    for line in VERBS {
        let output = bench.run(&format!("{line} --device tpu"));
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && message.contains("auto, cpu or gpu"), "{line}: {message}");
    }
}

#[cfg(not(feature = "gpu"))]
#[test]
fn without_gpu_support_the_message_says_how_to_build_it() {
    let bench = Bench::with_policy();
    for line in VERBS {
        let message = bench.refused(&format!("{line} --device gpu"));
        for part in
            ["built without GPU support", "--device gpu", "--features gpu", "the results are the same"]
        {
            assert!(message.contains(part), "mcnn {line}: {part:?} is not in\n{message}");
        }
        assert!(["l.safetensors", "t.safetensors", "t.run"].iter().all(|name| !bench.path(name).exists()));
    }
    for line in VERBS {
        for device in ["cpu", "auto"] {
            assert!(bench.json(&format!("{line} --device {device}"))["gpu"].is_null());
        }
    }
}

#[cfg(feature = "gpu")]
#[test]
fn without_an_adapter_the_message_lists_what_there_is() {
    let bench = Bench::with_policy();
    let mut command = bench.command("learn drive.npz -o x.safetensors --device gpu");
    // The loader of Vulkan then finds no driver.
    let output =
        command.env("VK_DRIVER_FILES", "/nowhere").env("VK_ICD_FILENAMES", "/nowhere").output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    if cfg!(target_os = "linux") {
        assert_eq!(output.status.code(), Some(2), "{message}");
        for part in ["there is no GPU that can be used", "no adapter", "Vulkan", "the results are the same"] {
            assert!(message.contains(part), "{part:?} is not in\n{message}");
        }
    }
}

#[cfg(feature = "gpu")]
#[test]
fn files_and_reports_are_the_same_on_a_gpu() {
    let bench = Bench::with_policy();
    let lines = [
        "learn drive.npz --count 40 --selection kmeans --smooth-neighbors 4 -o DEVICE.safetensors",
        "train drive.npz -o DEVICE-p.safetensors --steps 5 --hidden 8 --backbone retrieval",
        "certify p.safetensors --data drive.npz --horizon 9",
        "suggest drive.npz m.safetensors",
    ];
    for line in lines {
        let run =
            |device: &str| bench.run(&format!("{} --device {device} --json", line.replace("DEVICE", device)));
        let (cpu, gpu) = (run("cpu"), run("gpu"));
        if !gpu.status.success() {
            crate::common::skipped(
                "files_and_reports_are_the_same_on_a_gpu",
                &String::from_utf8_lossy(&gpu.stderr),
            );
            return;
        }
        let report = |output: &std::process::Output| -> serde_json::Value {
            serde_json::from_slice(&output.stdout).unwrap()
        };
        let (mut cpu, mut gpu) = (report(&cpu), report(&gpu));
        let searched = gpu["gpu"].clone();
        assert!(
            searched["queries"].as_u64() > Some(100) && searched["failure"].is_null(),
            "{line}: {searched}"
        );
        for report in [&mut cpu, &mut gpu] {
            for key in ["gpu", "seconds", "steps_per_second", "file", "run_folder"] {
                report.as_object_mut().unwrap().remove(key);
            }
        }
        assert_eq!(cpu, gpu, "{line}");
    }
    for name in [".safetensors", "-p.safetensors"] {
        let read = |device: &str| std::fs::read(bench.path(&format!("{device}{name}"))).unwrap();
        assert!(read("cpu") == read("gpu"), "{name}");
    }
}
