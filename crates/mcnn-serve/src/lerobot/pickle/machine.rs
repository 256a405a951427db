//! The stack machine.

use mcnn::error::Result;

use super::{Global, Id, Object, Objects, broken, numpy};
use crate::codec::sign_extended;

/// The most objects of a message.
const MOST_OBJECTS: usize = 1 << 16;

/// Runs a message. Returns its objects and the one that it is.
pub fn run(message: &[u8]) -> Result<(Objects<'_>, Id)> {
    let mut machine = Machine {
        rest: message,
        objects: Objects(Vec::new()),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
    };
    loop {
        if let Some(id) = machine.step()? {
            return Ok((machine.objects, id));
        }
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    objects: Objects<'a>,
    stack: Vec<Id>,
    marks: Vec<usize>, // heights of the stack
    memo: Vec<Option<Id>>,
}

impl<'a> Machine<'a> {
    fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        self.rest.split_off(..n).ok_or_else(|| broken("a message that is cut off"))
    }

    /// A little-endian number of `n` bytes.
    fn unsigned(&mut self, n: usize) -> Result<u64> {
        Ok(self.bytes(n)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn length(&mut self, n: usize) -> Result<usize> {
        usize::try_from(self.unsigned(n)?).map_err(|_| broken("a length that is too large"))
    }

    fn signed(&mut self, n: usize) -> Result<i64> {
        Ok(sign_extended(self.unsigned(n)?, n))
    }

    fn line(&mut self) -> Result<&'a str> {
        let end = self
            .rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(|| broken("a line without an end"))?;
        let line = self.bytes(end + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|_| broken("a name that is not UTF-8"))
    }

    fn push(&mut self, object: Object<'a>) -> Result<()> {
        if self.objects.0.len() >= MOST_OBJECTS {
            return Err(broken("a message of too many objects").found(format!("more than {MOST_OBJECTS}")));
        }
        self.stack.push(self.objects.0.len());
        self.objects.0.push(object);
        Ok(())
    }

    fn text(&mut self, length: usize) -> Result<()> {
        let text = std::str::from_utf8(self.bytes(length)?).map_err(|_| broken("text that is not UTF-8"))?;
        self.push(Object::Text(text))
    }

    /// The top of the stack above the last mark.
    fn pop(&mut self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(broken("an instruction without its operands"));
        }
        Ok(self.stack.pop().expect("it is above the floor"))
    }

    fn top(&self) -> Result<Id> {
        self.stack.last().copied().ok_or_else(|| broken("an instruction without its operands"))
    }

    /// All above the last mark, which is removed.
    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| broken("an instruction without a mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, n: usize) -> Result<()> {
        let mut items = (0..n).map(|_| self.pop()).collect::<Result<Vec<Id>>>()?;
        items.reverse();
        self.push(Object::Tuple(items))
    }

    fn memoize(&mut self, at: usize) -> Result<()> {
        if at > MOST_OBJECTS {
            return Err(broken("a memo of too many objects"));
        }
        if self.memo.len() <= at {
            self.memo.resize(at + 1, None);
        }
        self.memo[at] = Some(self.top()?);
        Ok(())
    }

    fn get_memo(&mut self, at: usize) -> Result<()> {
        let id = self.memo.get(at).copied().flatten().ok_or_else(|| broken("a memo that is not there"))?;
        if self.stack.len() > MOST_OBJECTS {
            return Err(broken("a message of too many objects"));
        }
        self.stack.push(id);
        Ok(())
    }

    /// Adds items to the list below them.
    fn append(&mut self, items: &[Id]) -> Result<()> {
        let list = self.top()?;
        match &mut self.objects.0[list] {
            Object::List(list) => list.extend(items),
            _ => return Err(broken("items of what is not a list")),
        }
        Ok(())
    }

    /// Adds keys and values to the dict below them.
    fn set(&mut self, items: &[Id]) -> Result<()> {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match &mut self.objects.0[dict] {
            Object::Dict(dict) if rest.is_empty() => {
                dict.extend(pairs.iter().map(|[key, value]| (*key, *value)))
            }
            _ => return Err(broken("keys of what is not a dict")),
        }
        Ok(())
    }

    /// Runs one instruction; the object, if it was the last.
    fn step(&mut self) -> Result<Option<Id>> {
        match self.bytes(1)?[0] {
            b'.' => return self.pop().map(Some),
            0x80 => drop(self.bytes(1)?), // PROTO
            0x95 => drop(self.bytes(8)?), // FRAME
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Object::None)?,
            0x88 => self.push(Object::Bool(true))?,
            0x89 => self.push(Object::Bool(false))?,
            b'J' => self.signed(4).and_then(|v| self.push(Object::Int(v)))?,
            b'K' => self.unsigned(1).and_then(|v| self.push(Object::Int(v as i64)))?,
            b'M' => self.unsigned(2).and_then(|v| self.push(Object::Int(v as i64)))?,
            0x8a => self.long()?,
            b'G' => {
                let bits = self.bytes(8)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                self.push(Object::Float(f64::from_bits(bits)))?;
            }
            0x8c => self.length(1).and_then(|n| self.text(n))?,
            b'X' => self.length(4).and_then(|n| self.text(n))?,
            0x8d => self.length(8).and_then(|n| self.text(n))?,
            b'C' => self.length(1).and_then(|n| self.binary(n))?,
            b'B' => self.length(4).and_then(|n| self.binary(n))?,
            0x8e | 0x96 => self.length(8).and_then(|n| self.binary(n))?, // bytes and bytearrays
            b']' => self.push(Object::List(Vec::new()))?,
            b')' => self.push(Object::Tuple(Vec::new()))?,
            b'}' => self.push(Object::Dict(Vec::new()))?,
            b't' => self.pop_to_mark().and_then(|items| self.push(Object::Tuple(items)))?,
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b'a' => self.pop().and_then(|item| self.append(&[item]))?,
            b'e' => self.pop_to_mark().and_then(|items| self.append(&items))?,
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])?;
            }
            b'u' => self.pop_to_mark().and_then(|items| self.set(&items))?,
            0x94 => self.memoize(self.memo.len())?,
            b'q' => self.length(1).and_then(|at| self.memoize(at))?,
            b'r' => self.length(4).and_then(|at| self.memoize(at))?,
            b'h' => self.length(1).and_then(|at| self.get_memo(at))?,
            b'j' => self.length(4).and_then(|at| self.get_memo(at))?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Object::Global(Global::named(module, name)?))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.objects.0[module], &self.objects.0[name]) {
                    (Object::Text(module), Object::Text(name)) => {
                        let global = Global::named(module, name)?;
                        self.push(Object::Global(global))?;
                    }
                    _ => return Err(broken("a name that is not text")),
                }
            }
            b'R' | 0x81 => {
                let (arguments, called) = (self.pop()?, self.pop()?);
                let object = self.call(called, arguments)?;
                self.push(object)?;
            }
            b'b' => {
                let (state, object) = (self.pop()?, self.top()?);
                self.build(object, state)?;
            }
            other => return Err(broken("an instruction that is not read").found(format!("{other:#04x}"))),
        }
        Ok(None)
    }

    fn binary(&mut self, length: usize) -> Result<()> {
        let bytes = self.bytes(length)?;
        self.push(Object::Bytes(bytes))
    }

    fn long(&mut self) -> Result<()> {
        let n = self.length(1)?;
        if n > 8 {
            return Err(broken("a number of more than 64 bits"));
        }
        let value = if n == 0 { 0 } else { self.signed(n)? };
        self.push(Object::Int(value))
    }

    /// The value of a call: of a class of LeRobot an instance without fields, of NumPy's functions an array, a type or a scalar.
    fn call(&self, called: Id, arguments: Id) -> Result<Object<'a>> {
        let (Object::Global(global), Object::Tuple(arguments)) =
            (&self.objects.0[called], &self.objects.0[arguments])
        else {
            return Err(broken("a call of what is no function"));
        };
        match global {
            Global::RemotePolicyConfig | Global::TimedObservation if arguments.is_empty() => {
                Ok(Object::Instance(*global, None))
            }
            Global::RemotePolicyConfig | Global::TimedObservation => {
                Err(broken("an instance with arguments"))
            }
            Global::NumpyArray => Err(broken("a call of a NumPy class")),
            Global::NumpyDtype => numpy::dtype(&self.objects, arguments),
            Global::NumpyReconstruct => Ok(Object::Array(None)),
            Global::NumpyFromBuffer => numpy::from_buffer(&self.objects, arguments),
            Global::NumpyScalar => numpy::scalar(&self.objects, arguments),
        }
    }

    /// Gives an object its state.
    fn build(&mut self, object: Id, state: Id) -> Result<()> {
        let built = match &self.objects.0[object] {
            Object::Instance(global, None) => Object::Instance(*global, Some(state)),
            Object::Array(None) => numpy::built_array(&self.objects, state)?,
            Object::Dtype(name, _) => numpy::built_dtype(&self.objects, name, state)?,
            _ => return Err(broken("a state of what has none")),
        };
        self.objects.0[object] = built;
        Ok(())
    }
}
