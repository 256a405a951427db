//! NumPy arrays and their types.

use mcnn::error::{Error, Kind, Result};

use super::sign_extended;

/// The most dimensions of an array.
const MOST_DIMENSIONS: usize = 8;

/// The type of an array's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dtype {
    kind: u8, // b'b' (truth values), b'i', b'u' or b'f'
    size: usize,
    is_big_endian: bool,
}

impl Dtype {
    /// Bytes, 0 to 255.
    pub const U8: Dtype = Dtype { kind: b'u', size: 1, is_big_endian: false };

    /// Parses NumPy's name of a type, such as `<f4`.
    ///
    /// # Errors
    /// Any other type than truth values, integers, and floating-point numbers of 4 or 8 bytes.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = || {
            Error::new(Kind::Data, "an array of a type that is not read")
                .expected("float32, float64, integers or bool")
                .found(text.chars().take(20).collect::<String>())
        };
        let (order, name) = match text.as_bytes() {
            [order @ (b'<' | b'>' | b'|' | b'='), name @ ..] => (*order, name),
            name => (b'<', name),
        };
        let dtype = match name {
            [kind @ (b'i' | b'u'), size @ (b'1' | b'2' | b'4' | b'8')] => (*kind, *size),
            [kind @ b'f', size @ (b'4' | b'8')] => (*kind, *size),
            [kind @ b'b', size @ b'1'] => (*kind, *size),
            _ => return Err(refused()),
        };
        Ok(Self { kind: dtype.0, size: usize::from(dtype.1 - b'0'), is_big_endian: order == b'>' })
    }

    /// NumPy's name.
    pub fn name(&self) -> String {
        let order = match (self.size, self.is_big_endian) {
            (1, _) => '|',
            (_, true) => '>',
            (_, false) => '<',
        };
        format!("{order}{}{}", char::from(self.kind), self.size)
    }

    /// The value in `size` bytes.
    fn value(&self, bytes: &[u8]) -> f64 {
        let mut low = [0; 8]; // little-endian
        for (k, byte) in bytes.iter().enumerate() {
            low[if self.is_big_endian { self.size - 1 - k } else { k }] = *byte;
        }
        let unsigned = u64::from_le_bytes(low);
        match self.kind {
            b'f' if self.size == 4 => f64::from(f32::from_bits(unsigned as u32)),
            b'f' => f64::from_bits(unsigned),
            b'i' => sign_extended(unsigned, self.size) as f64,
            b'b' => f64::from(u8::from(unsigned != 0)),
            _ => unsigned as f64,
        }
    }
}

/// An array in C order. Its data are as long as its shape and type say.
#[derive(Debug, Clone, PartialEq)]
pub struct Array<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    data: &'a [u8],
}

impl<'a> Array<'a> {
    /// An array of these bytes.
    ///
    /// # Errors
    /// If there are more than 8 dimensions, or the data have another length than the shape and the type say.
    pub fn new(dtype: Dtype, shape: Vec<usize>, data: &'a [u8]) -> Result<Self> {
        if shape.len() > MOST_DIMENSIONS {
            return Err(Error::new(Kind::Data, "an array of too many dimensions")
                .expected(format!("at most {MOST_DIMENSIONS}"))
                .found(shape.len().to_string()));
        }
        let length = shape.iter().try_fold(dtype.size, |length, side| length.checked_mul(*side));
        if length != Some(data.len()) {
            return Err(Error::new(Kind::Data, "an array whose data do not fit its shape")
                .expected(format!("{} of shape {shape:?}", dtype.name()))
                .found(format!("{} bytes", data.len())));
        }
        Ok(Self { dtype, shape, data })
    }

    /// The type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The length in each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The values in order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.data.chunks_exact(self.dtype.size).map(|bytes| self.dtype.value(bytes))
    }

    /// Type and shape, for messages.
    pub fn describe(&self) -> String {
        format!("an array {} of shape {:?}", self.dtype.name(), self.shape)
    }
}
