//! Files of weights: what torch.save wrote (python/tests/torch_weights.py), the same damaged, and files made to harm.

use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Seek as _, SeekFrom, Write as _},
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use mcnn::vision::{Network, ResNet, Tensors, Weights, load};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vision/weights")
}

fn embedding(network: &Network) -> Vec<f32> {
    let mut out = vec![0.0; network.width()];
    network.embed(&[0.5; 8 * 8 * 3], [8, 8], &mut out);
    out
}

fn of(path: PathBuf, resnet: ResNet) -> mcnn::Result<(Network, mcnn::vision::Found)> {
    load(&Weights::File(path), Some(resnet.into()), &mut |_, _| ())
}

/// Fails, and says all of this.
fn refused(result: mcnn::Result<impl Sized>, parts: &[&str]) {
    let message = result.err().expect("refused").to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
}

#[test]
fn tensors_of_every_kind_are_read_as_torch_wrote_them() {
    let text = fs::read(folder().join("small.json")).unwrap();
    let expected: BTreeMap<String, (Vec<usize>, Vec<f32>)> = serde_json::from_slice(&text).unwrap();
    for file in ["small.pth", "protocol4.pth"] {
        let mut tensors = Tensors::open(&folder().join(file)).unwrap();
        let names: Vec<String> = tensors.shapes().map(|(name, _)| name.to_owned()).collect();
        assert!(names.iter().eq(expected.keys()), "{names:?}");
        for (name, (shape, values)) in &expected {
            match name.as_str() {
                "whole" | "truth" => refused(tensors.read(name, shape), &[name, "not of floats"]),
                _ => assert_eq!(&tensors.read(name, shape).unwrap(), values, "{file}: {name}"),
            }
        }
        refused(tensors.read("plain", &[5, 6]), &["plain", "another shape", "[5, 6]", "[6, 5]"]);
        refused(tensors.read("nothing", &[1]), &["nothing", "missing"]);
    }
}

#[test]
fn a_checkpoint_is_unwrapped_and_what_is_left_over_is_told() {
    let (network, found) = of(folder().join("checkpoint.pth"), ResNet::ResNet18).unwrap();
    assert_eq!(
        (found.prefix.as_str(), &found.left_over[..]),
        ("module.", &["module.head.weight".to_owned()][..])
    );
    let (again, found) = of(folder().join("checkpoint.pth"), ResNet::ResNet18).unwrap();
    assert_eq!(embedding(&network), embedding(&again));
    assert_eq!(found.weights.len(), 64);
}

#[test]
fn other_networks_are_named() {
    let other = |file: &str, wanted: ResNet, parts: &[&str]| {
        refused(of(folder().join(format!("{file}.pth")), wanted), parts);
    };
    other(
        "checkpoint",
        ResNet::ResNet34,
        &["resnet18", "missing: layer1.2.conv1.weight", "--network resnet18"],
    );
    other("resnet34", ResNet::ResNet18, &["resnet34", "left over", "--network resnet34"]);
    other(
        "resnet34",
        ResNet::ResNet50,
        &["resnet34", "of another shape", "layer1.0.conv1.weight is [64, 64, 3, 3]"],
    );
    other("resnet101", ResNet::ResNet50, &["resnet101"]);
    other("vgg11", ResNet::ResNet34, &["VGG"]);
    other("vit_b_16", ResNet::ResNet34, &["transformer"]);
    other("missing", ResNet::ResNet18, &["1 missing: layer2.0.conv1.weight"]);
    other("small", ResNet::ResNet34, &["tensors of a network with bfloat"]);
    assert!(of(folder().join("resnet34.pth"), ResNet::ResNet34).is_ok());
}

#[test]
fn what_is_not_a_file_of_tensors_is_told_and_never_run() {
    let bad = |file: &str, parts: &[&str]| refused(of(folder().join(file), ResNet::ResNet18), parts);
    bad("old.pth", &["before version 1.6", "convert it: python -c"]);
    bad("object.pth", &["nothing in it is executed", "torch.nn.modules.linear.Linear", "state_dict"]);
    bad("script.pth", &["TorchScript"]);
    bad("list.pth", &["without tensors by name"]);
    bad("nan.pth", &["layer3.1.bn2.running_var", "NaN"]);
    bad("below.pth", &["layer3.1.bn2.running_var", "below zero"]);
    bad("small.json", &["not a file of weights"]);
    bad("nowhere.pth", &["nowhere.pth", "check the path"]);
    bad("", &["not a folder"]);
}

#[test]
fn cut_short_anywhere_and_with_any_byte_changed_nothing_panics() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("cut");
    for file in ["small.pth", "small.safetensors"] {
        let whole = match file {
            "small.pth" => fs::read(folder().join(file)).unwrap(),
            _ => safetensors_file(&[("a", &[2, 2], 1.0), ("b", &[3], 2.0)]),
        };
        let open = || {
            let all = |mut tensors: Tensors| {
                let shapes: Vec<(String, Vec<usize>)> = (tensors.shapes())
                    .map(|(name, shape)| (name.to_owned(), shape.iter().map(|&n| n as usize).collect()))
                    .collect();
                // A damaged shape may be as large as it likes while no caller asks for it.
                let small =
                    |shape: &[usize]| shape.iter().fold(1, |n, &d| usize::saturating_mul(n, d)) < 1000;
                for (name, shape) in shapes.iter().filter(|(_, shape)| small(shape)) {
                    let _ = tensors.read(name, shape);
                }
            };
            catch_unwind(|| Tensors::open(&path).map(all).is_ok()).expect("no panic")
        };
        fs::write(&path, &whole).unwrap();
        assert!(open(), "{file}");
        // One file, changed in place: some file systems take milliseconds to write one anew.
        let mut changed = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let mut put = |at: usize, byte: u8| {
            changed.seek(SeekFrom::Start(at as u64)).unwrap();
            changed.write_all(&[byte]).unwrap();
        };
        for (at, &byte) in whole.iter().enumerate() {
            for change in [0x01, 0xff] {
                put(at, byte ^ change);
                open();
            }
            put(at, byte);
        }
        for end in (0..whole.len()).rev() {
            changed.set_len(end as u64).unwrap();
            assert!(!open(), "{file} of {end} bytes");
        }
    }
}

/// A zip of files, stored or compressed.
fn zipped(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Floats of one value each, as safetensors.
fn safetensors_file(tensors: &[(&str, &[usize], f32)]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, s, v)| v.to_le_bytes().repeat(s.iter().product())).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), bytes);
        (*name, view.unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

fn opened(bytes: &[u8]) -> mcnn::Result<Tensors> {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("w"), bytes).unwrap();
    Tensors::open(&place.path().join("w"))
}

/// A pickle of `{"x": tensor}`, with a storage of `count` floats seen from `offset` in this shape with these strides.
fn pickle_of(count: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let text = |t: &str| [b"X", &(t.len() as u32).to_le_bytes()[..], t.as_bytes()].concat();
    let int = |n: i64| [&[0x8a, 8], &n.to_le_bytes()[..]].concat();
    let tuple =
        |ns: &[i64]| [b"(".to_vec(), ns.iter().flat_map(|&n| int(n)).collect(), b"t".to_vec()].concat();
    [
        b"\x80\x02}".to_vec(),
        text("x"),
        b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(),
        [b"(".to_vec(), text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text("0"), text("cpu")].concat(),
        int(count),
        b"tQ".to_vec(),
        int(offset),
        tuple(shape),
        tuple(strides),
        b"tRs.".to_vec(),
    ]
    .concat()
}

fn tensor_file(pickle: &[u8], data: &[u8]) -> Vec<u8> {
    zipped(&[("a/data.pkl", pickle), ("a/data/0", data)], CompressionMethod::Stored)
}

#[test]
fn a_tensor_must_lie_in_its_storage() {
    let data = [0_u8; 24]; // six floats
    assert!(opened(&tensor_file(&pickle_of(6, 1, &[2, 2], &[3, 1]), &data)).is_ok());
    for (count, offset, shape, strides) in [
        (6, 2, &[2, 2][..], &[3, 1][..]), // the last number is the seventh
        (6, 0, &[7], &[1]),
        (6, 6, &[1], &[1]),
        (6, -1, &[1], &[1]),
        (6, 0, &[-1], &[1]),
        (6, 0, &[2], &[-1]),
        (6, i64::MAX, &[1], &[1]),
        (6, 0, &[i64::MAX, i64::MAX], &[i64::MAX, i64::MAX]),
        (6, 0, &[2, 2], &[1]),
        (7, 0, &[1], &[1]),
        (i64::MAX, 0, &[1], &[1]),
        (-1, 0, &[1], &[1]),
    ] {
        let made = opened(&tensor_file(&pickle_of(count, offset, shape, strides), &data));
        refused(made, &["w", "found: "]);
    }
}

#[test]
fn a_tensor_of_giant_shape_costs_nothing_until_it_is_asked_for() {
    // Strides of 0 make any shape of one number.
    let made = tensor_file(&pickle_of(6, 0, &[1 << 40, 1 << 20], &[0, 0]), &[0; 24]);
    refused(opened(&made).unwrap().read("x", &[2]), &["another shape", "1099511627776"]);
}

#[test]
fn compressed_numbers_and_giant_pickles_are_refused() {
    let pickle = pickle_of(6, 0, &[6], &[1]);
    let zeros = vec![0; 50 << 20];
    let bomb = zipped(&[("a/data.pkl", &pickle), ("a/data/0", &zeros)], CompressionMethod::Deflated);
    assert!(bomb.len() < 1 << 20);
    refused(opened(&bomb), &["a/data/0", "compressed"]);
    refused(
        opened(&zipped(&[("a/data.pkl", &zeros)], CompressionMethod::Deflated)),
        &["data.pkl", "52428800"],
    );
    refused(opened(&zipped(&[("a/other", b"")], CompressionMethod::Stored)), &["data.pkl"]);
    let big = zipped(
        &[("a/data.pkl", &pickle), ("a/data/0", &[0; 24]), ("a/byteorder", b"big")],
        CompressionMethod::Stored,
    );
    refused(opened(&big), &["byte order"]);
}

#[test]
fn pickles_made_to_harm_are_refused_by_name() {
    let text = |t: &str| [b"\x8c", &[t.len() as u8][..], t.as_bytes()].concat();
    let cases: [(Vec<u8>, &str); 12] = [
        (b"cos\nsystem\n(X\x02\x00\x00\x00lstR.".to_vec(), "os.system"),
        (b"cbuiltins\neval\n.".to_vec(), "builtins.eval"),
        ([text("posix"), text("system"), b"\x93.".to_vec()].concat(), "posix.system"),
        (b"(itorch\nload\n.".to_vec(), "0x69"),  // INST
        (b"\x82\x01.".to_vec(), "0x82"),         // EXT1
        (b"}(K\x01K\x02\x81.".to_vec(), "0x81"), // NEWOBJ
        (b"ctorch\nload\n.".to_vec(), "torch.load"),
        (b"ctorch\nEvilStorage\n.".to_vec(), "torch.EvilStorage"),
        (b"X\xff\xff\xff\xffabc".to_vec(), "its end"),
        (b"\x8a\xff".to_vec(), "255 bytes"),
        (b"(tttttt.".to_vec(), "without a beginning"),
        (b"(".repeat(1 << 20), "its end"),
    ];
    for (pickle, part) in cases {
        let pickle = [&b"\x80\x02"[..], &pickle].concat();
        refused(opened(&tensor_file(&pickle, &[0; 24])), &[part]);
    }
    // Memory asked for over and over, and a list that contains itself, end when the pickle does.
    for pickle in
        [[b"]q\x00".to_vec(), b"h\x00".repeat(1 << 19), b".".to_vec()].concat(), b"]q\x00h\x00a.".to_vec()]
    {
        refused(opened(&tensor_file(&pickle, &[])), &["without tensors by name"]);
    }
}

#[test]
fn safetensors_give_the_same_network_as_pth() {
    let tensors: Vec<(String, Vec<usize>)> = ResNet::ResNet18.tensors();
    let list: Vec<(&str, &[usize], f32)> = tensors.iter().map(|(n, s)| (n.as_str(), &s[..], 1.0)).collect();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("w.safetensors");
    fs::write(&path, safetensors_file(&list)).unwrap();
    let (network, _) = of(path.clone(), ResNet::ResNet18).unwrap();
    let (other, _) = of(folder().join("checkpoint.pth"), ResNet::ResNet18).unwrap();
    assert_eq!(embedding(&network), embedding(&other));
    let mut giant = fs::read(&path).unwrap();
    giant[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&path, giant).unwrap();
    refused(of(path, ResNet::ResNet18), &["damaged or cut short"]);
}

#[test]
fn random_weights_are_asked_for_by_name_and_follow_from_their_seed() {
    let random =
        |text: &str| load(&text.parse().unwrap(), Some(ResNet::ResNet18.into()), &mut |_, _| ()).unwrap();
    let ((a, found), (b, _), (c, _)) = (random("random:7"), random("random:7"), random("random:8"));
    assert_eq!(embedding(&a), embedding(&b));
    assert_ne!(embedding(&a), embedding(&c));
    assert_eq!(found.weights, "random:7");
    assert!("random".parse::<Weights>().unwrap_err().contains("random:0"));
    assert!("random:x".parse::<Weights>().is_err());
    assert_eq!("imagenet".parse(), Ok(Weights::ImageNet));
    assert_eq!("a/random".parse(), Ok(Weights::File("a/random".into())));
}
