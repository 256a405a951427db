use super::*;

const N: usize = 3 * SIDE * SIDE;

fn drawn(car: &Car) -> Vec<f32> {
    let mut frame = vec![f32::NAN; N];
    draw(car, &mut frame);
    frame
}

fn pixel(frame: &[f32], [row, column]: [usize; 2]) -> Color {
    [0, 1, 2].map(|k| f64::from(frame[(row * SIDE + column) * 3 + k]))
}

/// Row and column of the pixel that shows a point of the road, by a pinhole camera in space: no step of the renderer's.
fn seen_at(car: &Car, along: f64, offset: f64) -> Option<[usize; 2]> {
    let [x, y] = car.road.direction(car.along);
    let heading = y.atan2(x) + car.heading;
    let (eye, point) = (car.road.place(car.along, car.offset), car.road.place(along, offset));
    let d = [point[0] - eye[0], point[1] - eye[1]];
    let ahead = d[0] * heading.cos() + d[1] * heading.sin();
    let right = d[0] * heading.sin() - d[1] * heading.cos();
    if ahead <= 0.5 {
        return None;
    }
    let (row, column) = (12.0 + 24.0 * 3.0 / ahead, 24.0 + 24.0 * right / ahead);
    let inside = (12.0..42.0).contains(&row) && (0.0..48.0).contains(&column);
    inside.then_some([row as usize, column as usize])
}

/// The ground's colors at that distance, behind the haze.
fn through_haze(color: Color, row: usize) -> Color {
    let ahead = 24.0 * 3.0 / (row as f64 - 12.0 + 0.5);
    [0, 1, 2].map(|k| color[k] + ahead / (ahead + 90.0) * (MIST[k] - color[k]))
}

fn close(a: Color, b: Color, by: f64) -> bool {
    (0..3).all(|k| (a[k] - b[k]).abs() <= by)
}

#[test]
fn what_lies_on_the_road_is_seen_where_a_camera_in_space_sees_it() {
    let mut seen = [0; 3];
    for seed in 0..40 {
        let mut car = Car::new(seed);
        let k = seed as f64;
        (car.offset, car.heading) = ((k * 0.7).sin() * 1.8, (k * 1.3).cos() * 0.2);
        let frame = drawn(&car);
        // Near enough for a pixel to be less than a sixth of a meter wide, and a fifth of one deep.
        for meters in [2.6, 2.9, 3.2, 3.5, 3.8] {
            for (class, offset, wanted) in [
                (0, 1.1, ASPHALT),
                (0, -1.1, ASPHALT),
                (1, HALF_WIDTH + 0.36, GRAVEL),
                (1, -HALF_WIDTH - 0.36, GRAVEL),
            ] {
                let Some(at) = seen_at(&car, car.along + meters, offset) else { continue };
                let there = pixel(&frame, at);
                assert!(
                    close(there, through_haze(wanted, at[0]), 12.0),
                    "seed {seed}, {meters} m ahead, {offset} m to the left, pixel {at:?}: {there:?}"
                );
                seen[class] += 1;
            }
            // A line is as wide as a pixel, of which it may fill two by halves.
            let edge = seen_at(&car, car.along + meters, HALF_WIDTH - 0.14);
            let beside = seen_at(&car, car.along + meters, HALF_WIDTH - 0.75);
            let (Some([row, column]), Some(beside)) = (edge, beside) else { continue };
            if !(1..SIDE - 1).contains(&column) {
                continue; // the other half may be beyond the picture
            }
            let [left, here, right] = [column - 1, column, column + 1].map(|c| pixel(&frame, [row, c])[0]);
            assert!(
                left.max(here).max(right) > pixel(&frame, beside)[0] + 40.0,
                "seed {seed}, {meters} m ahead: {left}, {here}, {right}"
            );
            seen[2] += 1;
        }
    }
    assert!(seen.iter().all(|n| *n > 60), "{seen:?}");
}

#[test]
fn grass_is_green_and_the_sky_blue_whatever_the_road_does() {
    for seed in 0..20 {
        let mut car = Car::new(seed);
        car.heading = 0.8; // looking off the road to the left: the right of the picture has the road
        let frame = drawn(&car);
        assert!((0..12).all(|row| (0..48).all(|column| {
            let [r, g, b] = pixel(&frame, [row, column]);
            b > g && g > r
        })));
        let green = (14..42).filter(|row| {
            let [r, g, b] = pixel(&frame, [*row, 0]);
            g > r && g > b
        });
        assert!(green.count() >= 20, "seed {seed}");
    }
}

#[test]
fn the_mirrored_road_and_car_give_the_mirrored_frame() {
    for seed in 0..20 {
        let mut car = Car::new(seed);
        (car.offset, car.heading, car.steering) = (0.9, -0.2, 0.1);
        let mut mirrored = car.clone();
        mirrored.road = car.road.mirrored();
        (mirrored.offset, mirrored.heading, mirrored.steering) = (-0.9, 0.2, -0.1);
        let (ours, theirs) = (drawn(&car), drawn(&mirrored));
        assert_ne!(ours, theirs);
        for row in 0..SIDE {
            for column in 0..SIDE {
                let other = pixel(&theirs, [row, SIDE - 1 - column]);
                assert!(close(pixel(&ours, [row, column]), other, 1.0), "seed {seed}, pixel {row}, {column}");
            }
        }
    }
}

#[test]
fn every_part_of_the_state_shows() {
    let car = Car::new(3);
    let first = drawn(&car);
    assert!(first.iter().all(|x| (0.0..=255.0).contains(x) && x.fract() == 0.0));
    assert_eq!(drawn(&car), first);
    let differs = |change: fn(&mut Car)| {
        let mut other = car.clone();
        change(&mut other);
        let other = drawn(&other);
        let rows = |rows: std::ops::Range<usize>| {
            (rows.start * 3 * SIDE..rows.end * 3 * SIDE).filter(|i| first[*i] != other[*i]).count()
        };
        [rows(0..HORIZON), rows(HORIZON..PANEL), rows(PANEL..SIDE)]
    };
    assert!(matches!(differs(|car| car.offset += 0.05), [0, n, 0] if n > 200));
    assert!(matches!(differs(|car| car.heading += 0.01), [0, n, 0] if n > 200));
    assert!(matches!(differs(|car| car.along += 0.3), [0, n, 0] if n > 200));
    assert!(matches!(differs(|car| car.speed += 0.1), [0, 0, n] if n > 0));
    assert!(matches!(differs(|car| car.steering += 0.01), [0, 0, n] if n > 0));
}

#[test]
fn instruments_are_as_long_as_they_say() {
    let mut car = Car::new(1);
    (car.speed, car.steering) = (TOP_SPEED / 2.0, -MOST_STEERING);
    let frame = drawn(&car);
    // The middle is between columns 23 and 24; half speed is 11.5 columns to both sides.
    let lit = |row: usize, color: Color| {
        (0..SIDE).filter(|c| close(pixel(&frame, [row, *c]), color, 1.0)).collect::<Vec<_>>()
    };
    assert_eq!(lit(44, SPEED_BAR), (13..35).collect::<Vec<_>>());
    assert_eq!(lit(47, WHEELS_BAR), (24..47).collect::<Vec<_>>());
}
