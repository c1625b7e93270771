import contextlib


@contextlib.contextmanager
def progress(total, enabled):
    class B:
        def advance(self, n):
            pass

    yield B()
