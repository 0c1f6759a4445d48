// The inner loops of the normalised join on the CPU: rows of `width` elements, with one
// value a lane for every parameter and sum. Each pointer is an argument, not a member of a
// struct, because the compiler vectorises that best. No torch here.
#pragma once

#include <type_traits>

#include "cpu_vector.h"
#include "rrelu_norm_math.h"

namespace originet {

template <typename stored_t>
using Acc = typename Arithmetic<stored_t>::type;

// Whether the first pass keeps results for the second, which then needs no exponentials.
// Not for 16-bit types, which would round them.
template <typename stored_t>
constexpr bool kKeeps = std::is_same_v<stored_t, Acc<stored_t>>;

template <typename stored_t>
ORIGINET_MULTIVERSION void moments_rows(
    const stored_t* a,
    const stored_t* b,
    stored_t* z,
    const Acc<stored_t>* bias_a,
    const Acc<stored_t>* bias_b,
    Acc<stored_t>* mean,
    Acc<stored_t>* m2,
    Join<Acc<stored_t>> join,
    int64_t rows,
    int64_t width,
    int64_t seen) {
  using A = Arithmetic<stored_t>;
  using acc_t = Acc<stored_t>;
  for (int64_t row = 0; row < rows; ++row) {
    const acc_t share = acc_t(1) / static_cast<acc_t>(seen + row + 1);
#pragma omp simd
    for (int64_t l = 0; l < width; ++l) {
      const acc_t value = join(A::load(a[l]) + bias_a[l], A::load(b[l]) + bias_b[l]);
      const acc_t delta = value - mean[l];
      const acc_t updated = mean[l] + delta * share;
      m2[l] += delta * (value - updated);
      mean[l] = updated;
      if constexpr (kKeeps<stored_t>) {
        z[l] = value;
      }
    }
    a += width;
    b += width;
    z += width;
  }
}

// y = (y - mean) * scale + shift
template <typename stored_t>
ORIGINET_MULTIVERSION void scale_rows(
    stored_t* y,
    const Acc<stored_t>* mean,
    const Acc<stored_t>* scale,
    const Acc<stored_t>* shift,
    int64_t rows,
    int64_t width) {
  using A = Arithmetic<stored_t>;
  for (int64_t row = 0; row < rows; ++row, y += width) {
#pragma omp simd
    for (int64_t l = 0; l < width; ++l) {
      y[l] = A::store((A::load(y[l]) - mean[l]) * scale[l] + shift[l]);
    }
  }
}

template <typename stored_t>
ORIGINET_MULTIVERSION void join_rows(
    const stored_t* a,
    const stored_t* b,
    stored_t* y,
    const Acc<stored_t>* bias_a,
    const Acc<stored_t>* bias_b,
    const Acc<stored_t>* mean,
    const Acc<stored_t>* scale,
    const Acc<stored_t>* shift,
    Join<Acc<stored_t>> join,
    int64_t rows,
    int64_t width) {
  using A = Arithmetic<stored_t>;
  for (int64_t row = 0; row < rows; ++row) {
#pragma omp simd
    for (int64_t l = 0; l < width; ++l) {
      const auto value = join(A::load(a[l]) + bias_a[l], A::load(b[l]) + bias_b[l]);
      y[l] = A::store((value - mean[l]) * scale[l] + shift[l]);
    }
    a += width;
    b += width;
    y += width;
  }
}

// Adds g and g * d to the lanes' sums.
template <typename stored_t>
ORIGINET_MULTIVERSION void sums_rows(
    const stored_t* grad,
    const stored_t* a,
    const stored_t* b,
    const Acc<stored_t>* bias_a,
    const Acc<stored_t>* bias_b,
    const Acc<stored_t>* mean,
    Acc<stored_t>* sum_g,
    Acc<stored_t>* sum_gd,
    Join<Acc<stored_t>> join,
    int64_t rows,
    int64_t width) {
  using A = Arithmetic<stored_t>;
  for (int64_t row = 0; row < rows; ++row) {
#pragma omp simd
    for (int64_t l = 0; l < width; ++l) {
      const auto g = A::load(grad[l]);
      const auto d = join(A::load(a[l]) + bias_a[l], A::load(b[l]) + bias_b[l]) - mean[l];
      sum_g[l] += g;
      sum_gd[l] += g * d;
    }
    grad += width;
    a += width;
    b += width;
  }
}

// The same; also keeps psi' of both branches and d for grad_from_kept_rows.
template <typename stored_t>
ORIGINET_MULTIVERSION void sums_and_keep_rows(
    const stored_t* grad,
    const stored_t* a,
    const stored_t* b,
    stored_t* kept_a,
    stored_t* kept_b,
    Acc<stored_t>* kept_d,
    const Acc<stored_t>* bias_a,
    const Acc<stored_t>* bias_b,
    const Acc<stored_t>* mean,
    Acc<stored_t>* sum_g,
    Acc<stored_t>* sum_gd,
    Join<Acc<stored_t>> join,
    int64_t rows,
    int64_t width) {
  using A = Arithmetic<stored_t>;
  for (int64_t row = 0; row < rows; ++row) {
#pragma omp simd
    for (int64_t l = 0; l < width; ++l) {
      const auto g = A::load(grad[l]);
      const auto x_a = A::load(a[l]) + bias_a[l];
      const auto x_b = A::load(b[l]) + bias_b[l];
      const auto in_a = join.branch(x_a);
      const auto in_b = join.branch(x_b);
      const auto d = in_a.value + in_b.value - mean[l];
      sum_g[l] += g;
      sum_gd[l] += g * d;
      kept_a[l] = in_a.derivative;
      kept_b[l] = in_b.derivative;
      kept_d[l] = d;
    }
    grad += width;
    a += width;
    b += width;
    kept_a += width;
    kept_b += width;
    kept_d += width;
  }
}

// Computes the gradients from what sums_and_keep_rows kept in grad_a, grad_b and d. Adds them
// to the lanes' sums, which become the gradients of the biases.
template <typename stored_t>
ORIGINET_MULTIVERSION void grad_from_kept_rows(
    const stored_t* grad,
    const stored_t* d,
    stored_t* grad_a,
    stored_t* grad_b,
    const stored_t* scale,
    const stored_t* offset,
    const stored_t* slope,
    stored_t* sum_a,
    stored_t* sum_b,
    int64_t rows,
    int64_t width) {
  for (int64_t row = 0; row < rows; ++row) {
#pragma omp simd
    for (int64_t l = 0; l < width; ++l) {
      const auto grad_z = scale[l] * (grad[l] - offset[l] - slope[l] * d[l]);
      grad_a[l] *= grad_z;
      grad_b[l] *= grad_z;
      sum_a[l] += grad_a[l];
      sum_b[l] += grad_b[l];
    }
    grad += width;
    d += width;
    grad_a += width;
    grad_b += width;
  }
}

template <typename stored_t>
ORIGINET_MULTIVERSION void grad_rows(
    const stored_t* grad,
    const stored_t* a,
    const stored_t* b,
    stored_t* grad_a,
    stored_t* grad_b,
    const Acc<stored_t>* bias_a,
    const Acc<stored_t>* bias_b,
    const Acc<stored_t>* mean,
    const Acc<stored_t>* scale,
    const Acc<stored_t>* offset,
    const Acc<stored_t>* slope,
    Acc<stored_t>* sum_a,
    Acc<stored_t>* sum_b,
    Join<Acc<stored_t>> join,
    int64_t rows,
    int64_t width) {
  using A = Arithmetic<stored_t>;
  for (int64_t row = 0; row < rows; ++row) {
#pragma omp simd
    for (int64_t l = 0; l < width; ++l) {
      const auto in_a = join.branch(A::load(a[l]) + bias_a[l]);
      const auto in_b = join.branch(A::load(b[l]) + bias_b[l]);
      const auto d = in_a.value + in_b.value - mean[l];
      const auto grad_z = scale[l] * (A::load(grad[l]) - offset[l] - slope[l] * d);
      const auto out_a = grad_z * in_a.derivative;
      const auto out_b = grad_z * in_b.derivative;
      grad_a[l] = A::store(out_a);
      grad_b[l] = A::store(out_b);
      sum_a[l] += out_a;
      sum_b[l] += out_b;
    }
    grad += width;
    a += width;
    b += width;
    grad_a += width;
    grad_b += width;
  }
}

} // namespace originet
