//! A builder of graphs: constants, nodes, inputs and outputs. A value is known by its name, and a node has the name of its
//! output, so that a viewer shows what each node computes. Names are paths: `envelope/weight`, `member.0/layer.1`.

use std::collections::HashSet;

use mcnn::{Error, Result, error::Kind};

use crate::proto::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, NodeProto, Size, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// A value of a graph: an input, a constant or the output of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

/// Nodes that are computed only where their branch is chosen, and their result.
pub struct Branch {
    nodes: Vec<NodeProto>,
    value: Value,
}

/// The size of an axis of an input or output.
#[derive(Debug, Clone, Copy)]
pub enum Axis {
    /// The same in every call.
    Fixed(usize),
    /// Any size; inputs and outputs with the same name of an axis have the same size.
    Any(&'static str),
}

/// An attribute of a node.
#[derive(Debug, Clone)]
pub enum Attribute {
    Int(&'static str, i64),
    Ints(&'static str, Vec<i64>),
    Float(&'static str, f32),
    Graph(&'static str, GraphProto),
}

/// The largest size of a file: messages of protobuf are shorter than 2 GiB.
pub const LARGEST: usize = i32::MAX as usize;

/// A graph that is being built.
#[derive(Debug, Default)]
pub struct Graph {
    proto: GraphProto,
    names: HashSet<String>,
    bytes: usize, // of all constants
}

impl Graph {
    pub fn new(name: &str, description: &str) -> Self {
        let proto = GraphProto { name: name.into(), doc_string: description.into(), ..Default::default() };
        Self { proto, ..Self::default() }
    }

    /// An input of numbers.
    pub fn input(&mut self, name: &str, axes: &[Axis], description: &str) -> Value {
        self.typed_input(name, axes, DataType::Float, description)
    }

    /// An input that is one integer.
    pub fn integer_input(&mut self, name: &str, description: &str) -> Value {
        self.typed_input(name, &[], DataType::Int64, description)
    }

    fn typed_input(&mut self, name: &str, axes: &[Axis], of: DataType, description: &str) -> Value {
        self.proto.input.push(info(name, axes, of, description));
        self.named(name.into())
    }

    /// Makes a value an output of the graph, under a name of its own.
    pub fn output(&mut self, name: &str, value: &Value, axes: &[Axis], of: DataType, description: &str) {
        self.node("Identity", name, &[value], &[]);
        self.proto.output.push(info(name, axes, of, description));
    }

    /// A constant of numbers.
    ///
    /// # Panics
    /// If the number of values is not that of the shape.
    pub fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "{name} of shape {shape:?}");
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensor(name, shape, DataType::Float, raw)
    }

    /// A constant of one number.
    pub fn scalar(&mut self, name: &str, value: f32) -> Value {
        self.constant(name, &[], &[value])
    }

    /// A constant of integers: indices, sizes or axes.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> Value {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensor(name, &[values.len()], DataType::Int64, raw)
    }

    fn tensor(&mut self, name: &str, shape: &[usize], of: DataType, raw_data: Vec<u8>) -> Value {
        self.bytes += raw_data.len();
        self.proto.initializer.push(TensorProto {
            dims: shape.iter().map(|&n| n as i64).collect(),
            data_type: of.into(),
            name: name.into(),
            raw_data,
        });
        self.named(name.into())
    }

    /// A node with one output, which has the node's name.
    pub fn node(&mut self, op: &str, name: &str, inputs: &[&Value], attributes: &[Attribute]) -> Value {
        let [value] = self.nodes(op, [name], inputs, attributes);
        value
    }

    /// A node with several outputs, the first of which has the node's name.
    pub fn nodes<const N: usize>(
        &mut self,
        op: &str,
        names: [&str; N],
        inputs: &[&Value],
        attributes: &[Attribute],
    ) -> [Value; N] {
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: names.iter().map(|name| (*name).to_owned()).collect(),
            name: names[0].into(),
            op_type: op.into(),
            attribute: attributes.iter().map(attribute).collect(),
        });
        names.map(|name| self.named(name.into()))
    }

    /// What `build` adds to the graph, as a branch. Its constants are the graph's.
    pub fn branch(&mut self, build: impl FnOnce(&mut Self) -> Value) -> Branch {
        let outside = std::mem::take(&mut self.proto.node);
        let value = build(self);
        Branch { nodes: std::mem::replace(&mut self.proto.node, outside), value }
    }

    /// The value of one branch, by its number, an integer; of the last one if there is no such branch. The others are not computed.
    ///
    /// # Panics
    /// If there are no branches.
    pub fn choose(&mut self, name: &str, number: &Value, branches: Vec<Branch>) -> Value {
        let mut branches: Vec<(usize, Branch)> = branches.into_iter().enumerate().collect();
        let (_, mut chosen) = branches.pop().expect("a branch");
        for (k, branch) in branches.into_iter().rev() {
            let name = if k == 0 { name.to_owned() } else { format!("{name}.from.{k}") };
            chosen = self.branch(|graph| {
                let k = graph.integers(&format!("{name}.number"), &[k as i64]);
                let is_this = graph.node("Equal", &format!("{name}.is_this"), &[number, &k], &[]);
                let branches = [("then_branch", branch), ("else_branch", chosen)];
                let branches = branches.map(|(of, branch)| Attribute::Graph(of, branch.proto(of)));
                graph.node("If", &name, &[&is_this], &branches)
            });
        }
        self.proto.node.extend(chosen.nodes);
        chosen.value
    }

    fn named(&mut self, name: String) -> Value {
        assert!(self.names.insert(name.clone()), "two values are called {name}");
        Value(name)
    }

    /// The graph.
    ///
    /// # Errors
    /// If its constants do not fit into a file.
    pub fn finish(self) -> Result<GraphProto> {
        // The names and nodes take much less than the tenth that is left.
        if self.bytes > LARGEST / 10 * 9 {
            return Err(Error::new(Kind::Settings, "the graph does not fit into a file of ONNX")
                .at("the memories and the networks")
                .expected("constants of at most 1.9 GB")
                .found(format!("{:.1} GB", self.bytes as f64 / 1e9))
                .next("learn fewer memories (`mcnn learn --count`)"));
        }
        Ok(self.proto)
    }
}

impl Branch {
    /// The graph of an attribute. The shape of its output is left to the reader.
    fn proto(self, name: &str) -> GraphProto {
        let tensor = TensorTypeProto { elem_type: DataType::Float.into(), shape: None };
        let output = ValueInfoProto {
            name: self.value.0,
            r#type: Some(TypeProto { tensor_type: Some(tensor) }),
            ..Default::default()
        };
        GraphProto { name: name.into(), node: self.nodes, output: vec![output], ..Default::default() }
    }
}

/// Operators that are used in several places.
impl Graph {
    /// A slice of one axis: from `first` up to, but not including, `end`.
    pub fn slice(&mut self, name: &str, value: &Value, axis: usize, [first, end]: [i64; 2]) -> Value {
        let bounds = [("first", first), ("end", end), ("axis", axis as i64)];
        let [first, end, axis] = bounds.map(|(part, at)| self.integers(&format!("{name}.{part}"), &[at]));
        self.node("Slice", name, &[value, &first, &end, &axis], &[])
    }

    /// A new axis of size 1.
    pub fn unsqueeze(&mut self, name: &str, value: &Value, axis: i64) -> Value {
        let axes = self.integers(&format!("{name}.axis"), &[axis]);
        self.node("Unsqueeze", name, &[value, &axes], &[])
    }

    /// Another shape; -1 for one axis of what is left, 0 for an axis that stays.
    pub fn reshape(&mut self, name: &str, value: &Value, shape: &[i64]) -> Value {
        let shape = self.integers(&format!("{name}.shape"), shape);
        self.node("Reshape", name, &[value, &shape], &[])
    }

    /// Another order of the axes.
    pub fn transpose(&mut self, name: &str, value: &Value, order: &[i64]) -> Value {
        self.node("Transpose", name, &[value], &[Attribute::Ints("perm", order.to_vec())])
    }

    /// The sum over one axis, which is dropped unless `keep`.
    pub fn sum(&mut self, name: &str, value: &Value, axis: i64, keep: bool) -> Value {
        let axes = self.integers(&format!("{name}.axis"), &[axis]);
        self.node("ReduceSum", name, &[value, &axes], &[Attribute::Int("keepdims", keep.into())])
    }

    /// Values limited to [-1, 1].
    pub fn clamp(&mut self, name: &str, value: &Value) -> Value {
        let bounds = [("low", -1.0), ("high", 1.0)];
        let [low, high] = bounds.map(|(part, bound)| self.scalar(&format!("{name}.{part}"), bound));
        self.node("Clip", name, &[value, &low, &high], &[])
    }

    /// `x W + b` over the last axis. The weight is `[inputs, outputs]`.
    pub fn linear(&mut self, name: &str, x: &Value, weight: (&[usize], &[f32]), bias: &[f32]) -> Value {
        let weight = self.constant(&format!("{name}.weight"), weight.0, weight.1);
        let bias = self.constant(&format!("{name}.bias"), &[bias.len()], bias);
        let product = self.node("MatMul", &format!("{name}.product"), &[x, &weight], &[]);
        self.node("Add", name, &[&product, &bias], &[])
    }

    /// Mish: `x tanh(ln(1 + e^x))`.
    pub fn mish(&mut self, name: &str, x: &Value) -> Value {
        let soft = self.node("Softplus", &format!("{name}.softplus"), &[x], &[]);
        let gate = self.node("Tanh", &format!("{name}.gate"), &[&soft], &[]);
        self.node("Mul", name, &[x, &gate], &[])
    }

    /// Rows of a constant, one of them for each index.
    pub fn gather(&mut self, name: &str, rows: &Value, indices: &Value) -> Value {
        self.node("Gather", name, &[rows, indices], &[Attribute::Int("axis", 0)])
    }
}

fn attribute(attribute: &Attribute) -> AttributeProto {
    let empty = |name: &str, of: AttributeType| AttributeProto {
        name: name.into(),
        r#type: of.into(),
        ..Default::default()
    };
    match attribute {
        Attribute::Int(name, i) => AttributeProto { i: Some(*i), ..empty(name, AttributeType::Int) },
        Attribute::Float(name, f) => AttributeProto { f: Some(*f), ..empty(name, AttributeType::Float) },
        Attribute::Ints(name, ints) => {
            AttributeProto { ints: ints.clone(), ..empty(name, AttributeType::Ints) }
        }
        Attribute::Graph(name, graph) => {
            AttributeProto { g: Some(graph.clone()), ..empty(name, AttributeType::Graph) }
        }
    }
}

fn info(name: &str, axes: &[Axis], of: DataType, description: &str) -> ValueInfoProto {
    let dimension = |axis: &Axis| Dimension {
        size: Some(match axis {
            Axis::Fixed(n) => Size::Value(*n as i64),
            Axis::Any(name) => Size::Symbol((*name).into()),
        }),
    };
    let shape = TensorShapeProto { dim: axes.iter().map(dimension).collect() };
    let tensor = TensorTypeProto { elem_type: of.into(), shape: Some(shape) };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { tensor_type: Some(tensor) }),
        doc_string: description.into(),
    }
}
