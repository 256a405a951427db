//! Writing a message.

use rmp::encode;

/// Writes a message. A vector in memory takes every byte, so that nothing here can fail.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

const IN_MEMORY: &str = "a vector takes every byte";

impl Writer {
    /// The message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Begins a map of this many keys and values.
    pub fn map(&mut self, len: usize) -> &mut Self {
        encode::write_map_len(&mut self.bytes, len as u32).expect(IN_MEMORY);
        self
    }

    /// Begins a list of this many values.
    pub fn list(&mut self, len: usize) -> &mut Self {
        encode::write_array_len(&mut self.bytes, len as u32).expect(IN_MEMORY);
        self
    }

    /// Text, or a key.
    pub fn text(&mut self, text: &str) -> &mut Self {
        encode::write_str(&mut self.bytes, text).expect(IN_MEMORY);
        self
    }

    /// A number.
    pub fn number(&mut self, value: f64) -> &mut Self {
        encode::write_f64(&mut self.bytes, value).expect(IN_MEMORY);
        self
    }

    /// An integer.
    pub fn integer(&mut self, value: u64) -> &mut Self {
        encode::write_uint(&mut self.bytes, value).expect(IN_MEMORY);
        self
    }

    /// A truth value.
    pub fn truth(&mut self, value: bool) -> &mut Self {
        encode::write_bool(&mut self.bytes, value).expect(IN_MEMORY);
        self
    }

    /// A list of texts.
    pub fn texts<'t>(&mut self, texts: impl ExactSizeIterator<Item = &'t str>) -> &mut Self {
        self.list(texts.len());
        texts.for_each(|text| {
            self.text(text);
        });
        self
    }

    /// An array of 32-bit floating-point numbers.
    pub fn floats(&mut self, values: &[f32], shape: &[usize]) -> &mut Self {
        self.array("<f4", shape, values.iter().flat_map(|v| v.to_le_bytes()))
    }

    /// An array of 64-bit integers.
    pub fn integers(&mut self, values: &[i64], shape: &[usize]) -> &mut Self {
        self.array("<i8", shape, values.iter().flat_map(|v| v.to_le_bytes()))
    }

    /// An array of truth values.
    pub fn truths(&mut self, values: &[bool]) -> &mut Self {
        self.array("|b1", &[values.len()], values.iter().map(|v| u8::from(*v)))
    }

    /// An array. Its keys are byte strings: the client takes a map with text as keys for an ordinary one.
    fn array(&mut self, dtype: &str, shape: &[usize], data: impl Iterator<Item = u8>) -> &mut Self {
        let data: Vec<u8> = data.collect();
        self.map(4).key(b"__ndarray__").truth(true);
        self.key(b"data").key(&data);
        self.key(b"dtype").text(dtype);
        self.key(b"shape").list(shape.len());
        shape.iter().for_each(|side| {
            self.integer(*side as u64);
        });
        self
    }

    fn key(&mut self, bytes: &[u8]) -> &mut Self {
        encode::write_bin(&mut self.bytes, bytes).expect(IN_MEMORY);
        self
    }
}
