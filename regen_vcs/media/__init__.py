def probe(path_abs): return {}
def content_hash(path_abs): return None
def look(path_abs): return None
def score(a, b): return None
