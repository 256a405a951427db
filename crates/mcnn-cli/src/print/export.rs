//! The results of `mcnn export` as text.

use std::fmt::Write as _;

use crate::commands::export::{CheckReport, ExportReport};

pub fn export(e: &ExportReport) -> String {
    let mut out = String::new();
    line!(out, "{}, {} memories, as ONNX (opset {})", e.name, e.memories, e.opset);
    for graph in &e.graphs {
        line!(out, "{}: {} nodes, {:.1} MB", graph.file, graph.nodes, graph.bytes as f64 / 1e6);
        line!(out, "  inputs    {}", graph.inputs.join(", "));
        line!(out, "  outputs   {}", graph.outputs.join(", "));
    }
    if let Some(steps) = e.denoising_steps {
        line!(
            out,
            "  denoising {steps} steps of the first graph, then the second; the page Deploy has the loop"
        );
    }
    if let Some(check) = &e.check {
        write_check(&mut out, check);
    }
    out
}

fn write_check(out: &mut String, c: &CheckReport) {
    let of = if c.steps < c.steps_of_data { format!(" of {}", c.steps_of_data) } else { String::new() };
    line!(out, "largest differences from the policy in onnxruntime, {} steps{of} of {}", c.steps, c.data);
    for (what, largest) in [("action", &c.action), ("distance", &c.distance), ("weight", &c.weight)] {
        let place = if largest.difference == 0.0 { String::new() } else { format!(" at {}", largest.at) };
        line!(out, "  {what:<9} {:.1e}{place}", largest.difference);
    }
    if c.scaled_action.difference != c.action.difference {
        line!(out, "            {:.1e} of half the range of its dimension", c.scaled_action.difference);
    }
    line!(out, "  memory    {} steps with another one", c.other_memories);
    if c.other_memories > 0 {
        line!(
            out,
            "  note      their nearest memories are equally near up to rounding, and may have other actions"
        );
    }
}
