"""A finished policy as a file for other programs: safetensors, ONNX, C."""
