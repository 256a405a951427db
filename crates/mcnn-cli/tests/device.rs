//! `--device`: the same results on every device but of `embed`, where they are near, and what is said where there is none.

use crate::{common::Bench, embed::frames};

const VERBS: [&str; 4] = [
    "learn drive.npz -o l.safetensors --force",
    "train drive.npz -o t.safetensors --steps 2 --hidden 8 --force",
    "certify p.safetensors --data drive.npz --horizon 9",
    "suggest drive.npz m.safetensors",
];
const EMBED: &str = "embed frames.npz --weights random:0 --network resnet18 --force";

#[test]
fn devices_are_auto_cpu_and_gpu() {
    let bench = Bench::with_policy();
    for line in VERBS.into_iter().chain([EMBED]) {
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
    frames(&bench, "frames.npz", 20);
    let message = bench.refused(&format!("{EMBED} --device gpu -o e.npz"));
    for part in ["built without GPU support", "--device gpu", "--features gpu", "the last digits"] {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
    assert!(!bench.path("e.npz").exists() && !bench.path("e.npz.part").exists());
}

#[test]
fn frames_are_embedded_on_the_processor_unless_a_gpu_is_asked_for() {
    let bench = Bench::new();
    frames(&bench, "frames.npz", 20);
    for device in ["", "--device auto", "--device cpu"] {
        let report = bench.json(&format!("{EMBED} {device} -o e.npz"));
        assert_eq!(report["device"], "cpu", "{device}");
    }
    assert!(bench.ok(&format!("{EMBED} -o e.npz")).contains("device       cpu"));
}

#[cfg(feature = "gpu")]
#[test]
fn without_an_adapter_the_message_lists_what_there_is() {
    let bench = Bench::with_policy();
    frames(&bench, "frames.npz", 20);
    for (line, otherwise) in [
        ("learn drive.npz -o x.safetensors", "the results are the same"),
        (&format!("{EMBED} -o x.npz"), "the last digits"),
    ] {
        let mut command = bench.command(&format!("{line} --device gpu"));
        // The loader of Vulkan then finds no driver.
        let output =
            command.env("VK_DRIVER_FILES", "/nowhere").env("VK_ICD_FILENAMES", "/nowhere").output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        if cfg!(target_os = "linux") {
            assert_eq!(output.status.code(), Some(2), "{message}");
            for part in ["there is no GPU that can be used", "no adapter", "Vulkan", otherwise] {
                assert!(message.contains(part), "{part:?} is not in\n{message}");
            }
            assert!(["x.npz", "x.npz.part"].iter().all(|name| !bench.path(name).exists()));
        }
    }
}

#[cfg(feature = "gpu")]
#[test]
fn embeddings_of_a_gpu_differ_in_the_last_digits() {
    let bench = Bench::new();
    frames(&bench, "frames.npz", 70);
    let line = "embed frames.npz --network resnet18 --preset raw:40x33 --json --weights";
    let gpu = bench.run(&format!("{line} random:0 -o gpu.npz --device gpu"));
    if !gpu.status.success() {
        let why = String::from_utf8_lossy(&gpu.stderr).into_owned();
        assert!(why.contains("there is no GPU that can be used"), "{why}");
        return crate::common::skipped("embeddings_of_a_gpu_differ_in_the_last_digits", &why);
    }
    let mut gpu: serde_json::Value = serde_json::from_slice(&gpu.stdout).unwrap();
    let mut cpu: serde_json::Value =
        serde_json::from_str(&bench.ok(&format!("{line} random:0 -o cpu.npz"))).unwrap();
    let device = gpu["device"].as_str().unwrap().to_owned();
    assert!(device.ends_with(')') && cpu["device"] == "cpu", "{device}");
    for report in [&mut cpu, &mut gpu] {
        for key in ["device", "seconds", "frames_per_second", "file", "fingerprint"] {
            report.as_object_mut().unwrap().remove(key).unwrap();
        }
    }
    assert_eq!(cpu, gpu);
    let read = |name| mcnn::data::read(&bench.path(name), &Default::default()).unwrap();
    let (cpu, gpu) = (read("cpu.npz"), read("gpu.npz"));
    for i in 0..70 {
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
        let (a, b) = (cpu.state(i), gpu.state(i));
        let difference = norm(&mut a.iter().zip(&*b).map(|(a, b)| a - b));
        assert!(difference < 1e-5 * norm(&mut a.iter().copied()), "frame {i}: {difference}");
    }
    // Memories of one are compared with states of the other.
    bench.ok("learn gpu.npz --count 30 -o m.safetensors");
    bench.ok("suggest cpu.npz m.safetensors");

    let message =
        bench.refused("embed frames.npz --network conv:8x8:8 --weights random:0 -o x.npz --device gpu");
    for part in ["conv:8x8:8", "resnet18", "fast on the processor"] {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
    assert!(!bench.path("x.npz").exists());
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
