import sys, time
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent))
import paper_scale as ps
if __name__ == "__main__":
    E = ps.Experiment
    ps.language_experiments.SCALES["paper"] = ps.dataclasses.replace(ps.language_experiments.SCALES["paper"], held=20_000)
    ex = [E("cc"), E("cc", "llama-2"), E("dm-mathematics", shape="laptop", epochs=4), E("wikipedia-en")]
    t = time.time()
    n = ps.run(Path(sys.argv[1]), Path(sys.argv[2]), minutes=float(sys.argv[3]), scale="paper", experiments=ex)
    print("left", n, time.time() - t)
