//! The pages in a browser: what a click shows, that nothing is fetched, that nothing is complained about.

use crate::browser::{Page, chromium};
use crate::common::Bench;
use serde_json::Value;

/// A page that fetched itself alone, and about which nothing was said.
fn quiet(page: &mut Page, file: &str) {
    // What was still on its way is told before the answer.
    page.value("new Promise(done => setTimeout(() => done(0), 100))");
    assert_eq!(page.fetched.len(), 1, "{:?}", page.fetched);
    assert!(page.fetched[0].starts_with("file://") && page.fetched[0].ends_with(file), "{:?}", page.fetched);
    assert_eq!(page.complaints, Vec::<String>::new());
}

/// The step that the page shows, and the memory it names for it.
fn shown(page: &mut Page) -> (u64, String) {
    let (step, why) = (page.text("step-out"), page.text("why"));
    let step = step.split(' ').nth(1).unwrap().parse().unwrap();
    (step, why)
}

/// What the page must say of a step, from the data in it.
fn named(step: &Value) -> String {
    let memory = &step["memory"];
    let source = &memory["source"];
    format!(
        "Nearest memory: {}, from step {}:{} of the demonstrations",
        memory["memory"], source["episode"], source["step"]
    )
}

#[test]
fn a_click_on_the_report_shows_the_memory_of_that_step() {
    let Some(chromium) = chromium("a_click_on_the_report_shows_the_memory_of_that_step") else { return };
    let bench = Bench::with_policy();
    bench.ok("report p.safetensors --in drive.npz --task drive --episodes 3 -o r.html");
    let mut page = Page::open(&chromium, bench.folder.path(), &bench.path("r.html"));
    let page = &mut page;
    let episodes = page.value("JSON.parse(document.getElementById('data').textContent).episodes");
    let steps = |episode: usize| episodes[episode]["steps"].as_array().unwrap();
    assert_eq!(shown(page).0, 0);

    // In a strip, where the axis says which step a place is.
    for share in [0.25, 0.5, 0.9] {
        let [left, top, width, height] = page.place("#distance");
        let last = steps(0).len() as f64 - 1.0;
        let (x, expected) = (left + 52.0 + (width - 64.0) * share, last * share);
        page.click(x, top + height / 2.0);
        let (step, why) = shown(page);
        assert!((step as f64 - expected).abs() <= 2.0, "{step} is not {expected}");
        assert!(why.starts_with(&named(&steps(0)[step as usize])), "{why}");
        let row = page
            .value("[...document.querySelectorAll('#dimensions tbody tr')].map(r => r.textContent).length");
        assert_eq!(row, 2, "a row for each number of an action");
    }

    // In the map, on a point of the path: the point that marks the step moves there.
    page.press("Home");
    let at = |step: &str| {
        format!(
            "(() => {{ setStep({step}); const c = [...document.querySelectorAll('#map circle')].find(c => c.style.fill === 'var(--c1)'); c.scrollIntoView({{ block: 'center' }}); const b = c.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; }})()"
        )
    };
    let point = page.value(&at("100"));
    page.value("setStep(0)");
    page.click(point[0].as_f64().unwrap(), point[1].as_f64().unwrap());
    let (step, why) = shown(page);
    assert!(why.starts_with(&named(&steps(0)[step as usize])), "{why}");
    let path = &episodes[0]["path"];
    let apart = |i: usize, j: usize| {
        (0..2)
            .map(|k| (path[i][k].as_f64().unwrap() - path[j][k].as_f64().unwrap()).abs())
            .fold(0.0, f64::max)
    };
    assert!(apart(step as usize, 100) < 0.05, "step {step} is elsewhere");

    // By keys, and in another episode: one visited in closed loop.
    let before = shown(page).0;
    page.press("ArrowRight");
    assert_eq!(shown(page).0, before + 1);
    page.press("End");
    assert_eq!(shown(page).0, steps(0).len() as u64 - 1);
    let visited = (0..episodes.as_array().unwrap().len()).find(|&k| episodes[k]["visited"] == true).unwrap();
    page.value(&format!(
        "(() => {{ const e = document.getElementById('episode'); e.value = {visited}; e.dispatchEvent(new Event('change')); }})()"
    ));
    assert_eq!(shown(page).0, 0);
    page.press("ArrowRight");
    let (step, why) = shown(page);
    assert_eq!(step, 1);
    assert!(why.starts_with(&named(&steps(visited)[1])), "{why}");
    quiet(page, "r.html");
}

#[test]
fn the_demos_page_opens_without_a_complaint() {
    let Some(chromium) = chromium("the_demos_page_opens_without_a_complaint") else { return };
    let bench = Bench::new();
    bench.ok("demo --demonstrations 2 --steps 5 --episodes 2 -o d.html");
    let mut page = Page::open(&chromium, bench.folder.path(), &bench.path("d.html"));
    assert!(page.value("document.querySelectorAll('svg *, canvas').length").as_u64() > Some(10));
    quiet(&mut page, "d.html");
}

/// Bytes of a text in base64.
fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u32> = text.bytes().filter(|c| *c != b'=').map(|c| digit(c).into()).collect();
    let bits = |group: &[u32]| (0..4).fold(0, |all, i| all << 6 | group.get(i).unwrap_or(&0));
    digits.chunks(4).flat_map(|g| bits(g).to_be_bytes()[1..g.len()].to_vec()).collect()
}

/// The pictures as PNG are what a browser makes of the SVG.
#[test]
fn a_png_is_what_a_browser_draws_of_the_svg() {
    let Some(chromium) = chromium("a_png_is_what_a_browser_draws_of_the_svg") else { return };
    let bench = Bench::with_policy();
    bench.ok("report p.safetensors --in drive.npz -o r.html --plots pictures");
    bench.ok("certify p.safetensors --states drive.npz --horizon 9 --curve --plot pictures/curve.svg");
    bench.ok("certify p.safetensors --states drive.npz --horizon 9 --curve --plot pictures/curve.png");
    std::fs::write(bench.path("results.jsonl"), include_str!("table.jsonl")).unwrap();
    for figure in ["table", "seconds", "profile"] {
        for ending in ["svg", "png"] {
            bench.ok(&format!("table results.jsonl --plot pictures/{figure}.{ending} --figure {figure}"));
        }
    }
    for name in ["codebook", "coverage", "episode", "curve", "table", "seconds", "profile"] {
        let file = |ending: &str| bench.path(&format!("pictures/{name}.{ending}"));
        let ours = lodepng::decode24_file(file("png")).unwrap();
        let mut page = Page::open(&chromium, bench.folder.path(), &file("svg"));
        let (width, height) = (ours.width, ours.height);
        let clip =
            serde_json::json!({ "x": 0, "y": 0, "width": width / 2, "height": height / 2, "scale": 2 });
        let options = serde_json::json!({ "format": "png", "clip": clip, "captureBeyondViewport": true });
        let shot = page.ask("Page.captureScreenshot", options)["data"].as_str().map(base64).unwrap();
        let theirs = lodepng::decode24(shot).unwrap();
        assert_eq!((theirs.width, theirs.height), (width, height), "{name}");
        // What is colored, by blocks of 16 pixels; letters are gray, and of another form.
        let (mut colored, mut differ) = (0, 0);
        let mean = |picture: &lodepng::Bitmap<lodepng::RGB<u8>>, x: usize, y: usize| {
            let all = (0..256).map(|i| picture.buffer[(y + i / 16) * width + x + i % 16]);
            let colors = all.map(|p| [p.r, p.g, p.b].map(f64::from));
            colors.fold([0.0; 2], |sum, [r, g, b]| [sum[0] + (r - g) / 256.0, sum[1] + (g - b) / 256.0])
        };
        for y in (0..height - 15).step_by(16) {
            for x in (0..width - 15).step_by(16) {
                let (a, b) = (mean(&ours, x, y), mean(&theirs, x, y));
                colored += usize::from(b.iter().any(|c| c.abs() > 5.0));
                differ += usize::from((0..2).any(|k| (a[k] - b[k]).abs() > 8.0));
            }
        }
        assert!(colored > 50, "{name}: {colored} colored blocks");
        assert!(differ * 50 < colored, "{name}: {differ} blocks differ, of {colored}");
    }
}

#[test]
fn a_page_that_fetches_or_fails_is_noticed() {
    let Some(chromium) = chromium("a_page_that_fetches_or_fails_is_noticed") else { return };
    let bench = Bench::new();
    let open = |script: &str| {
        std::fs::write(bench.path("x.html"), format!("<!doctype html><script>{script}</script>")).unwrap();
        let mut page = Page::open(&chromium, bench.folder.path(), &bench.path("x.html"));
        page.value("new Promise(done => setTimeout(() => done(0), 100))");
        (page.fetched.len(), page.complaints.len())
    };
    assert_eq!(open("1"), (1, 0));
    assert_eq!(open("throw new Error('x')"), (1, 1));
    assert_eq!(open("console.log('x')"), (1, 1));
    assert!(open("new Image().src = 'beside.png'").0 > 1);
}
