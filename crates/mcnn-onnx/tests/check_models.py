"""Checks every model of a folder with the package onnx, and prints the names of its nodes and its metadata."""

import json
import pathlib
import sys

import onnx

files = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
assert files
for path in files:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [o.version for o in model.opset_import] == [17]
    print(path.name, [node.name for node in model.graph.node])
    print(json.dumps({prop.key: prop.value for prop in model.metadata_props}))
