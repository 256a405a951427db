//! NumPy's arrays, types and scalars.

use mcnn::error::Result;

use super::{Id, Object, Objects, broken};
use crate::codec::{Array, Dtype};

/// `numpy.dtype(name, align, copy)`.
pub fn dtype<'a>(objects: &Objects<'a>, arguments: &[Id]) -> Result<Object<'a>> {
    match arguments.first().map(|name| &objects.0[*name]) {
        Some(Object::Text(name)) => Ok(Object::Dtype(name, '<')),
        _ => Err(broken("a NumPy type without a name")),
    }
}

/// The state of a type: (version, byte order, ...).
pub fn built_dtype<'a>(objects: &Objects<'a>, name: &'a str, state: Id) -> Result<Object<'a>> {
    let order = match &objects.0[state] {
        Object::Tuple(parts) => parts.get(1).map(|order| &objects.0[*order]),
        _ => None,
    };
    match order {
        Some(Object::Text("<" | "|" | "=")) => Ok(Object::Dtype(name, '<')),
        Some(Object::Text(">")) => Ok(Object::Dtype(name, '>')),
        _ => Err(broken("a NumPy type without a byte order")),
    }
}

fn parsed(objects: &Objects, dtype: Id) -> Result<Dtype> {
    match &objects.0[dtype] {
        Object::Dtype(name, order) => Dtype::parse(&format!("{order}{name}")),
        _ => Err(broken("an array without a type")),
    }
}

fn bytes<'a>(objects: &Objects<'a>, id: Id) -> Result<&'a [u8]> {
    match &objects.0[id] {
        Object::Bytes(bytes) => Ok(bytes),
        _ => Err(broken("an array without bytes")),
    }
}

/// An array of a shape, which is a tuple of lengths.
fn array<'a>(objects: &Objects<'a>, dtype: Id, shape: Id, data: Id) -> Result<Object<'a>> {
    let Object::Tuple(sides) = &objects.0[shape] else { return Err(broken("an array without a shape")) };
    let side = |id: &Id| match objects.0[*id] {
        Object::Int(side) => usize::try_from(side).map_err(|_| broken("an array of a negative length")),
        _ => Err(broken("an array without a shape")),
    };
    let shape: Vec<usize> = sides.iter().map(side).collect::<Result<_>>()?;
    Array::new(parsed(objects, dtype)?, shape, bytes(objects, data)?).map(|array| Object::Array(Some(array)))
}

/// The state of an array: (version, shape, type, is Fortran order, bytes).
pub fn built_array<'a>(objects: &Objects<'a>, state: Id) -> Result<Object<'a>> {
    let Object::Tuple(parts) = &objects.0[state] else { return Err(broken("an array without a state")) };
    let [_, shape, dtype, is_fortran, data] = parts[..] else {
        return Err(broken("an array without a state"));
    };
    match objects.0[is_fortran] {
        Object::Bool(false) => array(objects, dtype, shape, data),
        _ => Err(broken("an array in Fortran order").next("send numpy.ascontiguousarray(image)")),
    }
}

/// `_frombuffer(bytes, type, shape, order)`, of protocol 5.
pub fn from_buffer<'a>(objects: &Objects<'a>, arguments: &[Id]) -> Result<Object<'a>> {
    let [data, dtype, shape, order] = arguments[..] else { return Err(broken("an array without a shape")) };
    match objects.0[order] {
        Object::Text("C") => array(objects, dtype, shape, data),
        _ => Err(broken("an array in Fortran order").next("send numpy.ascontiguousarray(image)")),
    }
}

/// `scalar(type, bytes)`.
pub fn scalar<'a>(objects: &Objects<'a>, arguments: &[Id]) -> Result<Object<'a>> {
    let [dtype, data] = arguments[..] else { return Err(broken("a NumPy scalar without a value")) };
    let array = Array::new(parsed(objects, dtype)?, Vec::new(), bytes(objects, data)?)?;
    Ok(Object::Scalar(array.values().next().expect("an array without dimensions has one value")))
}
