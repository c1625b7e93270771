"""Layer-wise relevance propagation by hand, in NumPy: relevances, from the table of all contributions w·x."""

import numpy as np

STABILISER = 1e-6


def dense(x, weights, bias, relevance, rule="epsilon", number=STABILISER):
    """Relevance of x, of the shape (…, in), from that of x @ weights + bias."""
    table = x[..., :, None] * weights  # (…, in, out)
    return np.sum(shared(table, np.broadcast_to(bias, relevance.shape), relevance, rule, number), -1)


def shared(table, bias, relevance, rule, number):
    """What each contribution has of the relevance of a sum over the second last axis, with a bias."""
    bias = bias[..., None, :]
    whole = np.sum(table, -2, keepdims=True) + bias
    relevance = relevance[..., None, :]
    total = lambda of: np.sum(np.concatenate([of(table), of(bias)], -2), -2, keepdims=True)
    part = lambda of: of(table) / np.where(total(of) == 0, 1, total(of))  # of nothing, each has nothing
    above, below = lambda c: np.maximum(c, 0), lambda c: np.minimum(c, 0)
    if rule == "epsilon":
        return table / (whole + number * np.where(whole < 0, -1, 1)) * relevance
    if rule == "gamma":
        raised = part(lambda c: c + number * above(c)), part(lambda c: c + number * below(c))
        return np.where(whole > 0, *raised) * relevance
    if rule == "z_plus":
        return part(above) * relevance
    if rule == "alpha_beta":
        return (number * part(above) + (1 - number) * part(below)) * relevance
    raise ValueError(rule)


def matrix_of(linear, shape):
    """The matrix of a linear function of arrays of a shape, from its values at the unit vectors: (in, out)."""
    size = int(np.prod(shape))
    return np.stack([np.ravel(linear(row.reshape(shape))) for row in np.eye(size)])


def correlated(image, kernel):
    """The valid convolution, as networks mean it, of (height, width, in) with (rows, columns, in, out)."""
    rows, columns = kernel.shape[:2]
    height, width = image.shape[0] - rows + 1, image.shape[1] - columns + 1
    windows = [[image[i : i + rows, j : j + columns] for j in range(width)] for i in range(height)]
    return np.einsum("hwrci,rcio->hwo", np.array(windows), kernel)
