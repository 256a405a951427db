//! The subset of Python's pickle format that a file of tensors needs. Nothing is executed: calls and classes must be names on a
//! short list; otherwise the file is refused.
//!
//! Source: Python, `Lib/pickletools.py`; PyTorch, `torch/serialization.py` and `torch/_utils.py`.

use super::tensors::Dtype;
use crate::error::{Error, Kind, Result};

/// Index of a value in [`Pickle`].
pub type Id = usize;

/// A value. Containers store the indices of their elements, so that nothing is copied or nested.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// None, booleans, floats: not used.
    Other,
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A name on the list of known functions and classes.
    Known(Known),
    /// Values in a file of the archive: their type, the file's key (a text), and their count.
    Storage(Dtype, Id, u64),
    Tensor(Box<View>),
}

/// A tensor: a view of a storage. Offset and strides count elements.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    pub storage: Id,
    pub offset: u64,
    pub shape: Vec<u64>,
    pub strides: Vec<u64>,
}

/// The functions and classes that a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known {
    RebuildTensor,
    RebuildParameter,
    OrderedDict,
    Size,
    Storage(Dtype),
}

/// All values of a pickle, and the index of the root.
#[derive(Debug)]
pub struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads a pickle. It creates at most one value for each byte, and stores each byte of text once.
    ///
    /// # Errors
    /// A pickle that is damaged, cut short, or uses anything that tensors do not need. The offending part is named.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut machine = Machine {
            bytes,
            at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
        };
        let root = machine.run().map_err(|e| e.at(format!("byte {} of its pickle", machine.at)))?;
        Ok(Self { values: machine.values, root })
    }

    pub fn root(&self) -> &Value {
        &self.values[self.root]
    }

    pub fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,    // lengths of the stack
    memo: Vec<(u32, Id)>, // in the order of their keys
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id> {
        loop {
            match self.byte()? {
                0x80 => match self.byte()? {
                    2..=5 => {}
                    other => return Err(refused(&format!("protocol {other}"))),
                },
                0x95 => drop(self.take(8)?), // FRAME: how much to read ahead
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'N' | 0x88 | 0x89 => self.push(Value::Other),
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Other);
                }
                b'J' => {
                    let n = i32::from_le_bytes(self.array()?);
                    self.push(Value::Int(n.into()));
                }
                b'K' => {
                    let n = self.byte()?;
                    self.push(Value::Int(n.into()));
                }
                b'M' => {
                    let n = u16::from_le_bytes(self.array()?);
                    self.push(Value::Int(n.into()));
                }
                0x8a => self.long()?,
                b'X' => {
                    let n = u32::from_le_bytes(self.array()?);
                    self.text(n as usize)?;
                }
                0x8c => {
                    let n = self.byte()?;
                    self.text(n.into())?;
                }
                b']' => self.push(Value::List(Vec::new())),
                b'}' => self.push(Value::Dict(Vec::new())),
                b')' => self.push(Value::Tuple(Vec::new())),
                n @ 0x85..=0x87 => {
                    let start = self.below(usize::from(n - 0x84))?;
                    let items = self.stack.split_off(start);
                    self.push(Value::Tuple(items));
                }
                b't' => {
                    let items = self.marked()?;
                    self.push(Value::Tuple(items));
                }
                b'q' => {
                    let key = self.byte()?;
                    self.put_memo(key.into())?;
                }
                b'r' => {
                    let key = u32::from_le_bytes(self.array()?);
                    self.put_memo(key)?;
                }
                0x94 => {
                    let key = self.memo.last().map_or(0, |(key, _)| key.saturating_add(1));
                    self.put_memo(key)?;
                }
                b'h' => {
                    let key = self.byte()?;
                    self.get_memo(key.into())?;
                }
                b'j' => {
                    let key = u32::from_le_bytes(self.array()?);
                    self.get_memo(key)?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.list()?.push(item);
                }
                b'e' => {
                    let items = self.marked()?;
                    self.list()?.extend(items);
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.dict()?.push((key, value));
                }
                b'u' => {
                    let items = self.marked()?;
                    let pairs = items.as_chunks::<2>();
                    if !pairs.1.is_empty() {
                        return Err(damaged("a key without a value"));
                    }
                    let pairs = pairs.0.iter().map(|&[key, value]| (key, value));
                    self.dict()?.extend(pairs);
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    let known = known(&module, &name)?;
                    self.push(Value::Known(known));
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(module), Value::Text(name)) = (&self.values[module], &self.values[name])
                    else {
                        return Err(damaged("a name that is not text"));
                    };
                    let known = known(module, name)?;
                    self.push(Value::Known(known));
                }
                b'Q' => self.storage()?,
                b'R' => self.call()?,
                b'b' => {
                    // The attributes of an ordered dictionary: what versions its modules had.
                    let (_, target) = (self.pop()?, self.top()?);
                    if !matches!(self.values[target], Value::Dict(_)) {
                        return Err(refused("attributes of something that is not a dictionary"));
                    }
                }
                other => return Err(refused(&format!("the instruction 0x{other:02x}"))),
            }
        }
    }

    /// `torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, ...)`, and the few others of the list.
    fn call(&mut self) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Known(known) = self.values[function] else {
            return Err(refused("a call of something that is not a name"));
        };
        let Value::Tuple(arguments) = &self.values[arguments] else {
            return Err(damaged("a call without a tuple of arguments"));
        };
        let made = match (known, &arguments[..]) {
            (Known::OrderedDict, []) => Value::Dict(Vec::new()),
            (Known::RebuildParameter, &[same, ..]) | (Known::Size, &[same]) => {
                self.stack.push(same);
                return Ok(());
            }
            (Known::RebuildTensor, [storage, offset, shape, strides, ..]) => {
                if !matches!(self.values[*storage], Value::Storage(..)) {
                    return Err(damaged("a tensor without a storage"));
                }
                let Value::Int(offset) = self.values[*offset] else {
                    return Err(damaged("a tensor without an offset"));
                };
                Value::Tensor(Box::new(View {
                    storage: *storage,
                    offset: u64::try_from(offset).map_err(|_| damaged("a negative offset"))?,
                    shape: self.sizes(*shape)?,
                    strides: self.sizes(*strides)?,
                }))
            }
            (known, arguments) => {
                return Err(refused(&format!("a call of {known:?} with {} arguments", arguments.len())));
            }
        };
        self.push(made);
        Ok(())
    }

    /// `("storage", kind, key, device, count)`, which stands for a file of the archive.
    fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        let strange = || damaged("a persistent object that is not a storage of tensors");
        let Value::Tuple(parts) = &self.values[id] else { return Err(strange()) };
        let &[tag, kind, key, _, count] = &parts[..] else { return Err(strange()) };
        let of = |id: Id| &self.values[id];
        match (of(tag), of(kind), of(key), of(count)) {
            (Value::Text(tag), &Value::Known(Known::Storage(kind)), Value::Text(_), &Value::Int(count))
                if tag == "storage" =>
            {
                let count = u64::try_from(count).map_err(|_| strange())?;
                self.push(Value::Storage(kind, key, count));
                Ok(())
            }
            _ => Err(strange()),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<u64>> {
        let Value::Tuple(items) = &self.values[id] else {
            return Err(damaged("a shape that is not a tuple"));
        };
        if items.len() > 8 {
            return Err(refused(&format!("a tensor of {} dimensions", items.len())));
        }
        let size = |&id: &Id| match self.values[id] {
            Value::Int(n) => u64::try_from(n).map_err(|_| damaged("a negative size")),
            _ => Err(damaged("a size that is not a whole number")),
        };
        items.iter().map(size).collect()
    }

    fn long(&mut self) -> Result<()> {
        let n = usize::from(self.byte()?);
        if n > 8 {
            return Err(refused(&format!("a whole number of {n} bytes")));
        }
        let bytes = self.take(n)?;
        // The highest bit of the last byte is the sign.
        let fill = if bytes.last().is_some_and(|&b| b & 0x80 != 0) { 0xff } else { 0 };
        let mut all = [fill; 8];
        all[..n].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(all)));
        Ok(())
    }

    fn text(&mut self, n: usize) -> Result<()> {
        let text = std::str::from_utf8(self.take(n)?).map_err(|_| damaged("text that is not UTF-8"))?;
        let text = text.to_owned();
        self.push(Value::Text(text));
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.bytes[self.at..];
        let end = rest
            .iter()
            .take(200)
            .position(|&b| b == b'\n')
            .ok_or_else(|| damaged("a name without an end"))?;
        self.at += end + 1;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many as were asked for"))
    }

    fn take(&mut self, n: usize) -> Result<&[u8]> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..n));
        let taken = taken.ok_or_else(|| damaged("its end before it is complete"))?;
        self.at += n;
        Ok(taken)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// The lowest index of the stack that may be popped: the topmost mark.
    fn below(&self, n: usize) -> Result<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(n).filter(|&start| start >= floor);
        start.ok_or_else(|| damaged("more values popped from its stack than it has"))
    }

    fn pop(&mut self) -> Result<Id> {
        self.below(1)?;
        Ok(self.stack.pop().expect("checked above"))
    }

    fn top(&self) -> Result<Id> {
        Ok(self.stack[self.below(1)?])
    }

    fn marked(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| damaged("a list without a beginning"))?;
        Ok(self.stack.split_off(mark))
    }

    fn list(&mut self) -> Result<&mut Vec<Id>> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::List(items) => Ok(items),
            _ => Err(damaged("items of something that is not a list")),
        }
    }

    fn dict(&mut self) -> Result<&mut Vec<(Id, Id)>> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::Dict(items) => Ok(items),
            _ => Err(damaged("keys of something that is not a dictionary")),
        }
    }

    fn put_memo(&mut self, key: u32) -> Result<()> {
        let top = self.top()?;
        match self.memo.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(i) => self.memo[i].1 = top,
            // Python counts up, so this is a push.
            Err(i) if i == self.memo.len() => self.memo.push((key, top)),
            Err(_) => return Err(refused("memory used out of order")),
        }
        Ok(())
    }

    fn get_memo(&mut self, key: u32) -> Result<()> {
        let found = self.memo.binary_search_by_key(&key, |(key, _)| *key);
        let found = found.map_err(|_| damaged("a memo entry that was never stored"))?;
        self.stack.push(self.memo[found].1);
        Ok(())
    }
}

fn known(module: &str, name: &str) -> Result<Known> {
    Ok(match (module, name) {
        ("torch._utils", "_rebuild_tensor_v2") => Known::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Known::RebuildParameter,
        ("collections", "OrderedDict") => Known::OrderedDict,
        ("torch", "Size") => Known::Size,
        ("torch", name) if let Some(kind) = name.strip_suffix("Storage").and_then(Dtype::of_torch) => {
            Known::Storage(kind)
        }
        _ => return Err(refused(&format!("the Python object {module}.{name}"))),
    })
}

fn refused(what: &str) -> Error {
    Error::new(Kind::File, "the file asks for more than tensors need; nothing in it is executed")
        .expected("a dictionary of tensors, as torch.save(model.state_dict(), path) writes it")
        .found(what)
        .next("save the state_dict alone, or write a .safetensors")
}

fn damaged(what: &str) -> Error {
    Error::new(Kind::File, "the file of weights is damaged or cut short").found(what).next("fetch it again")
}
