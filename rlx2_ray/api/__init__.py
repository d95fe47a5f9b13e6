"""What `import rlx2_ray` offers to programs; docs/python.md says how to use it."""
