"""Bits that flip on disk, for the tests: python flipped.py FLIPS [SEED] flips as many in every file that jaxwalk reads.

The files of a store, an archive, and npz files of data. Each flip in a file that jaxwalk wrote must be refused with a
sentence. In npz files of data there are bits that no number depends on, as those of a date: then everything that is
read must be the same.
"""

import collections
import random
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

import jaxwalk as jw
from jaxwalk._cli.data.open import open_data

DATA = "fortran.npz", "packed.npz", "stored.npz"

X, Y = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32), np.arange(40) % 4


def evaluated(directory, resume):
    """An evaluation into a store; the second is of what is there."""
    fun = lambda params, x, y: (jw.tag(x @ params, "h") - y.astype(np.float32)) ** 2
    batches = [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 40, 10)]
    keep = lambda output, delta: output * delta
    return jw.evaluate(fun, np.ones(3, np.float32), batches, keep=keep, out=directory, resume=resume, progress=False)


def saved(evaluation, path):
    """Everything that an evaluation says, as bytes."""
    evaluation.save(path)
    return path.read_bytes()


def what_is_read(place):
    """Makes files in `place`, and says for each tree of files how it is read, which gives something to compare."""
    (place / "data").mkdir()
    np.savez(place / "data/stored.npz", x=X, y=Y)
    np.savez(place / "data/fortran.npz", x=np.asfortranarray(X), y=Y)
    np.savez_compressed(place / "data/packed.npz", x=X, y=Y)
    evaluated(place / "store", False).save(place / "evaluation.npz")

    def rows(path):
        data = open_data(path)
        return data.unused, [(x.tobytes(), y.tobytes()) for x, y in data.batches(7)]

    again = place / "again.npz"
    yield place / "store", lambda path: saved(evaluated(path, True), again)
    yield place / "evaluation.npz", lambda path: saved(jw.Evaluation.load(path), again)
    for file in sorted((place / "data").iterdir()):
        yield file, rows


def flipped(path, read, flips, chance):
    """Flips a bit in each file of a tree, as often as asked for, and yields (file, what comes of it)."""
    expected = read(path)
    copy = path.with_name(f"copy-{path.name}")
    for name in sorted(file.relative_to(path) for file in (path.rglob("*") if path.is_dir() else [path])):
        if not (path / name).is_file() or not (path / name).stat().st_size:
            continue
        for _ in range(flips):
            shutil.copytree(path, copy, dirs_exist_ok=True) if path.is_dir() else shutil.copyfile(path, copy)
            content = bytearray((copy / name).read_bytes())
            at, bit = chance.randrange(len(content)), chance.randrange(8)
            content[at] ^= 1 << bit
            (copy / name).write_bytes(content)
            try:
                outcome = "the same" if read(copy) == expected else f"OTHER NUMBERS, bit {bit} of byte {at}"
            except jw.JaxwalkError as error:
                outcome = "refused" if "\n" not in str(error) else f"NO SENTENCE, bit {bit} of byte {at}: {error}"
            except Exception as error:
                outcome = f"RAW, bit {bit} of byte {at}: {type(error).__name__}: {error}"
            yield path.name / name, outcome
        shutil.rmtree(copy) if copy.is_dir() else copy.unlink()


def outcomes(flips, seed):
    """By file, how often each outcome was met."""
    chance = random.Random(seed)
    found = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as place:
        for path, read in what_is_read(Path(place)):
            for file, outcome in flipped(path, read, flips, chance):
                found[str(file)][outcome] += 1
    return found


def wrong_in(found):
    """The outcomes that may not be, by file."""
    allowed = lambda file: {"refused", "the same"} if file in DATA else {"refused"}
    return [(file, outcome) for file, counts in found.items() for outcome in counts if outcome not in allowed(file)]


def main(flips, seed):
    found = outcomes(flips, seed)
    for file, counts in found.items():
        print(f"{file}: " + ", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
    wrong = wrong_in(found)
    print(f"{flips} flips in each of {len(found)} files, {len(wrong)} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int((*sys.argv[2:3], 0)[0])))
