//! One picture: a PNG or a JPEG, recognized by content.

use std::{io::Cursor, path::Path};

use zune_core::{colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

use crate::error::{Error, Kind, Result};

/// The most pixels of a side.
const SIDE: usize = 8192;
/// The most bytes of a picture's file.
const FILE: u64 = 64 << 20;

/// A picture's height and width, and its pixels, `[height, width, 3]`.
pub(super) type Picture = ([usize; 2], Vec<u8>);

/// Reads a picture. Transparency is ignored, gray becomes color, 16 bits become 8.
///
/// # Errors
/// A file that cannot be read, is neither, is damaged or cut short, or larger than a camera's frame is.
pub(super) fn read(path: &Path) -> Result<Picture> {
    let io = |e| Error::io("reading", path, &e);
    let about = std::fs::metadata(path).map_err(io)?;
    let bad = |found: &str| {
        Error::new(Kind::Data, "a picture that cannot be read")
            .at(path.display().to_string())
            .expected("a whole PNG or JPEG")
            .found(found)
            .next("repair it, or drop its row and the picture")
    };
    if !about.is_file() || about.len() > FILE {
        return Err(bad(&format!("{} bytes, or no regular file", about.len())));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    decode(&bytes, None).map_err(|found| bad(&found))
}

/// The picture of a file's bytes, or what is wrong with it. One of another size than `wanted` is not decoded.
pub(super) fn decode(bytes: &[u8], wanted: Option<[usize; 2]>) -> std::result::Result<Picture, String> {
    if bytes.starts_with(b"\x89PNG") {
        png(bytes, wanted)
    } else if bytes.starts_with(b"\xff\xd8") {
        jpeg(bytes, wanted)
    } else {
        Err("neither a PNG nor a JPEG".into())
    }
}

fn sides(height: usize, width: usize, wanted: Option<[usize; 2]>) -> std::result::Result<[usize; 2], String> {
    if let Some(wanted) = wanted
        && wanted != [height, width]
    {
        return Err(format!("{height} x {width} pixels, where the first has {} x {}", wanted[0], wanted[1]));
    }
    if height == 0 || width == 0 || height > SIDE || width > SIDE {
        return Err(format!("{height} x {width} pixels, beyond {SIDE} x {SIDE}"));
    }
    Ok([height, width])
}

fn png(bytes: &[u8], wanted: Option<[usize; 2]>) -> std::result::Result<Picture, String> {
    let (width, height) = lodepng::Decoder::new().inspect(bytes).map_err(|e| e.to_string())?;
    sides(height, width, wanted)?; // before anything of that size is allocated
    let picture = lodepng::decode24(bytes).map_err(|e| e.to_string())?;
    let pixels = picture.buffer.iter().flat_map(|p| [p.r, p.g, p.b]).collect();
    Ok((sides(picture.height, picture.width, wanted)?, pixels))
}

fn jpeg(bytes: &[u8], wanted: Option<[usize; 2]>) -> std::result::Result<Picture, String> {
    let options = DecoderOptions::default()
        .set_strict_mode(true) // a picture cut short is an error, not gray below
        .set_max_width(SIDE)
        .set_max_height(SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    let about = decoder.info().ok_or("no size")?;
    let size = sides(about.height.into(), about.width.into(), wanted)?;
    let pixels = decoder.decode().map_err(|e| e.to_string())?;
    if pixels.len() != size[0] * size[1] * 3 {
        return Err("cut short".into());
    }
    Ok((size, pixels))
}
