//! Against files of pyarrow and polars (tests/fixtures/parquet/make.py), whose values follow from the row.

use super::*;
use crate::data::fixtures::unpacked;

const N: usize = 70;

fn open(path: &Path) -> Parquet {
    Parquet::open(path, std::fs::metadata(path).unwrap().len()).unwrap()
}

/// All values of a column and the lengths of its rows, of all row groups.
fn column(file: &Parquet, name: &str) -> Result<(Vec<f64>, Vec<String>, Vec<u32>)> {
    let leaf = file.leaves().iter().position(|leaf| leaf.path.join(".").starts_with(name)).unwrap();
    let budget = Budget::new(1 << 20);
    let (mut numbers, mut texts, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for group in 0..file.groups() {
        let column = file.read(group, &[leaf], &budget)?.remove(0);
        if name != "ragged" {
            column.width()?;
        }
        lengths.extend(&column.lengths);
        match &column.values {
            Values::F32(values) => numbers.extend(values.iter().map(|&v| f64::from(v))),
            Values::F64(values) => numbers.extend(values),
            Values::Integers(values) => numbers.extend(values.iter().map(|&v| v as f64)),
            Values::Texts(all) => {
                texts.extend((0..all.len()).map(|i| String::from_utf8(all.get(i).to_vec()).unwrap()));
            }
        }
    }
    Ok((numbers, texts, lengths))
}

#[test]
fn what_others_wrote_is_read_in_every_compression_and_encoding() {
    let folder = unpacked("parquet/files.zip");
    let entries = std::fs::read_dir(folder.path()).unwrap().flatten();
    let names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 10);
    let values =
        |width: usize| (0..N * width).map(|i| ((i * 37 % 101) as f64 - 50.0) / 8.0).collect::<Vec<_>>();
    let rows = |of: &dyn Fn(i64) -> i64| (0..N as i64).map(|i| of(i) as f64).collect::<Vec<_>>();
    for name in names {
        let file = open(&folder.path().join(&name));
        if name == "brotli" {
            let error = column(&file, "fixed").unwrap_err().to_string();
            assert!(
                error.contains("found: Brotli") && error.contains("column fixed.list.element"),
                "{error}"
            );
            continue;
        }
        assert_eq!(file.groups(), 3, "{name}");
        for (key, width) in [("fixed", 3), ("list", 2), ("nested", 4), ("struct.x", 1), ("half", 1)] {
            let (numbers, _, lengths) = column(&file, key).unwrap_or_else(|e| panic!("{name}: {key}: {e}"));
            assert_eq!(numbers, values(width), "{name}: {key}");
            assert!(width == 1 || lengths == [width as u32; N], "{name}: {key}");
        }
        for (key, of) in [
            ("i8", &(|i: i64| i % 200 - 100) as &dyn Fn(i64) -> i64),
            ("u32", &|i| i * 20_000_000),
            ("i64", &|i| i.pow(4) - 1_000_000_000),
            ("same", &|_| 7),
            ("flag", &|i| i64::from(i % 7 == 0)),
            ("struct.even", &|i| i64::from(i % 2 == 0)),
        ] {
            let (numbers, ..) = column(&file, key).unwrap_or_else(|e| panic!("{name}: {key}: {e}"));
            assert_eq!(numbers, rows(of), "{name}: {key}");
        }
        let (_, texts, lengths) = column(&file, "ragged").unwrap();
        let expected: Vec<String> = (0..N).flat_map(|i| vec![format!("t{}", i % 5); i % 3]).collect();
        assert_eq!(texts, expected, "{name}");
        assert_eq!(lengths, (0..N as u32).map(|i| i % 3).collect::<Vec<_>>(), "{name}");
        let (_, texts, _) = column(&file, "text").unwrap();
        assert_eq!(texts, (0..N).map(|i| format!("text {}", i % 11)).collect::<Vec<_>>(), "{name}");
        let error = column(&file, "missing").unwrap_err().to_string();
        assert!(error.contains("row 15") && error.contains("null"), "{name}: {error}"); // of the second row group
    }
}

#[test]
fn a_budget_is_held_and_a_file_that_was_never_finished_is_known() {
    let folder = unpacked("parquet/files.zip");
    let path = folder.path().join("snappy");
    let (file, budget) = (open(&path), Budget { left: AtomicU64::new(500), limit: 500 });
    let error = file.read(0, &[0], &budget).unwrap_err().to_string();
    assert!(error.contains("at most 500 bytes") && error.contains("MCNN_EXPAND_MIB"), "{error}");
    let whole = std::fs::read(&path).unwrap();
    for cut in [whole.len() - 1, whole.len() / 2, 12] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let error = Parquet::open(&path, cut as u64).map(|_| ()).unwrap_err();
        assert!(is_unfinished(&error), "{error}");
    }
    std::fs::write(&path, b"version https://git-lfs").unwrap();
    let error = Parquet::open(&path, 23).map(|_| ()).unwrap_err();
    assert!(!is_unfinished(&error) && error.to_string().contains("git lfs"), "{error}");
}
