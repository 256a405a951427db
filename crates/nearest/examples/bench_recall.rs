//! Placeholder.
fn main() {
    use std::time::Instant;
    let mut s = 1u64;
    let mut g = move || {
        let mut t = 0.0f32;
        for _ in 0..12 {
            s = s
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            t += (s >> 40) as f32 / (1u64 << 24) as f32;
        }
        t - 6.0
    };
    for (n, d) in [(672, 39), (10000, 45), (100000, 45), (10000, 512)] {
        let rows: Vec<f32> = (0..n * d).map(|_| g()).collect();
        let qs: Vec<f32> = (0..200 * d).map(|_| g()).collect();
        for level in nearest::Level::available() {
            let t = nearest::Table::from_rows(&rows, d).at_level(level);
            let mut ts = vec![];
            for q in qs.chunks(d) {
                let a = Instant::now();
                std::hint::black_box(t.nearest(q));
                ts.push(a.elapsed().as_secs_f64() * 1e6);
            }
            ts.sort_by(f64::total_cmp);
            let a = Instant::now();
            std::hint::black_box(t.nearest_many(&qs, 1));
            let many = a.elapsed().as_secs_f64() * 1e6 / 200.0;
            println!(
                "{n} {d} {level:?} {:.1} us min {:.1}; many {many:.1}",
                ts[100], ts[0]
            );
        }
    }
}
