//! Sprite sheets: small frames below each other in one image, as a `data:` URL that a page can contain.

use ::gif::{Encoder, Frame};
use mcnn::{Error, Result, error::Kind};

use super::gif::SPEED;

/// Every `every`-th of the frames (`[n, height, width, 3]`, with `size` as height and width), below each other: the `data:` URL of
/// a GIF.
///
/// # Errors
/// If the image is too large for a GIF.
pub fn sprite_sheet(frames: &[u8], size: [usize; 2], every: usize) -> Result<String> {
    let each = size[0] * size[1] * 3;
    let shown: Vec<u8> = frames.chunks_exact(each).step_by(every).flatten().copied().collect();
    let failed = |found: String| Error::new(Kind::File, "the frames do not fit into one image").found(found);
    let sides = (u16::try_from(size[1]), u16::try_from(shown.len() / each * size[0]));
    let (Ok(width), Ok(height)) = sides else {
        return Err(failed(format!("{} frames of {} x {}", shown.len() / each, size[0], size[1])));
    };
    let mut encoder = Encoder::new(Vec::new(), width, height, &[]).map_err(|e| failed(e.to_string()))?;
    let frame = Frame::from_rgb_speed(width, height, &shown, SPEED);
    encoder.write_frame(&frame).map_err(|e| failed(e.to_string()))?;
    let bytes = encoder.into_inner().map_err(|e| failed(e.to_string()))?;
    Ok(format!("data:image/gif;base64,{}", base64(&bytes)))
}

/// Base64 of RFC 4648: three bytes become four letters.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0_usize, |n, k| n << 8 | usize::from(three.get(k).copied().unwrap_or(0)));
        for k in 0..4 {
            let letter = LETTERS[number >> (18 - 6 * k) & 63];
            text.push(if k <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_the_letters_of_the_standard() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text); // RFC 4648, section 10
        }
        assert_eq!(base64(&[255, 254, 253]), "//79");
    }

    #[test]
    fn every_second_of_five_frames_makes_an_image_three_frames_high() {
        let frames: Vec<u8> = (0..5).flat_map(|k| [k * 50; 12]).collect();
        let text = sprite_sheet(&frames, [2, 2], 2).unwrap();
        assert!(text.starts_with("data:image/gif;base64,R0lGOD"));
        assert!(
            sprite_sheet(&vec![0; 12 * 40_000], [2, 2], 1).unwrap_err().to_string().contains("40000 frames")
        );
    }
}
