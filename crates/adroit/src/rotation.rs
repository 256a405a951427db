//! Rotations as Gymnasium-Robotics writes them: quaternions are w, x, y, z; Euler angles are relative, about x, y, z.

/// The quaternion of Euler angles in radians.
pub fn from_euler(angles: [f64; 3]) -> [f64; 4] {
    let (a, b, c) = (angles[2] / 2.0, -angles[1] / 2.0, angles[0] / 2.0);
    let ((sa, ca), (sb, cb), (sc, cc)) = (a.sin_cos(), b.sin_cos(), c.sin_cos());
    [
        cb * (ca * cc) + sb * (sa * sc),
        cb * (ca * sc) - sb * (sa * cc),
        -(cb * (sa * sc) + sb * (ca * cc)),
        cb * (sa * cc) - sb * (ca * sc),
    ]
}

/// The Euler angles in radians of a quaternion of any length; those of a zero quaternion are zero.
pub fn to_euler([w, x, y, z]: [f64; 4]) -> [f64; 3] {
    let square = w * w + x * x + y * y + z * z;
    if square <= f64::EPSILON {
        return [0.0; 3];
    }
    let s = 2.0 / square;
    let (wx, wy, wz) = (w * (x * s), w * (y * s), w * (z * s));
    let (xx, xy, xz) = (x * (x * s), x * (y * s), x * (z * s));
    let (yy, yz, zz) = (y * (y * s), y * (z * s), z * (z * s));
    // The elements of the rotation matrix that the angles need, by row and column.
    let (m00, m01, m02) = (1.0 - (yy + zz), xy - wz, xz + wy);
    let (m10, m11, m12) = (xy + wz, 1.0 - (xx + zz), yz - wx);
    let m22 = 1.0 - (xx + yy);
    let cosine = (m22 * m22 + m12 * m12).sqrt(); // of the middle angle
    let middle = m02.atan2(cosine);
    if cosine > 4.0 * f64::EPSILON {
        [-m12.atan2(m22), middle, -m01.atan2(m00)]
    } else {
        [0.0, middle, -(-m10).atan2(m11)] // a quarter turn: only the sum of the outer angles is known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_come_back_from_their_quaternion_whatever_its_length() {
        for angles in [[0.3, -1.2, 2.9], [-3.0, 0.0, 0.1], [0.0, 1.5, 0.0], [1.0, 1.0, -1.0]] {
            let q = from_euler(angles);
            let length: f64 = q.iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-15);
            for scale in [1.0, 0.2, -3.0] {
                let back = to_euler(q.map(|x| scale * x));
                for (a, b) in angles.iter().zip(back) {
                    assert!((a - b).abs() < 1e-14, "{angles:?}: {back:?}");
                }
            }
        }
        assert_eq!(to_euler([0.0; 4]), [0.0; 3]);
        let up = to_euler(from_euler([0.7, std::f64::consts::FRAC_PI_2, 0.0]));
        assert!((up[1] - std::f64::consts::FRAC_PI_2).abs() < 1e-7, "{up:?}");
    }
}
