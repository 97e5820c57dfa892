# What stands there runs inside Blender, which `test_in_blender.py` starts.
collect_ignore = ["inside"]
