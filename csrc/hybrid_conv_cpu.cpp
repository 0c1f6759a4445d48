// CPU backend of a hybrid block's two convolutions, float32, in channels_last. Threads share out the
// images. What they add up for the weights is merged in order, so that results depend only on the
// number of threads.
#include <algorithm>
#include <memory>
#include <new>
#include <tuple>
#include <utility>

#include "arguments.h"
#include "hybrid_conv_loops.h"

namespace originet {
namespace {

constexpr int kSquare = kPoints * kPoints, kSumsSquare = kSums * kSums;

// Uninitialised, at the beginning of a cache line.
class Scratch {
 public:
  explicit Scratch(int64_t count)
      : data_(
            static_cast<float*>(
                ::operator new(std::max<int64_t>(count, 1) * sizeof(float), kLine))) {}

  operator float*() const {
    return data_.get();
  }

 private:
  static constexpr std::align_val_t kLine{64};
  struct Delete {
    void operator()(float* data) const {
      ::operator delete(data, kLine);
    }
  };
  std::unique_ptr<float, Delete> data_;
};

// The points of a kernel that one sum consists of.
struct PointList {
  int points[4];
  int count = 0;

  PointList(int sum, bool small) {
    for (int p = 0; p < kPoints; ++p) {
      for (int q = 0; q < kPoints; ++q) {
        const bool there = !small || (kInSmall[p] && kInSmall[q]);
        if (there && kSumOfPoint[p] * kSums + kSumOfPoint[q] == sum) {
          points[count++] = p * kPoints + q;
        }
      }
    }
  }
};

// How many tiles to compute at a time: their points should stay in the cache, and many share the
// reading of the weights.
int64_t tiles_at_once(const ConvShape& shape) {
  return std::max<int64_t>(24, 768 / shape.in_channels);
}

// [D, K, K, C]
Weights weights_of(float* data, int64_t taps, int64_t channels) {
  return {data, taps * taps * channels, 1, taps * channels, channels};
}

Weights weights_of(const Tensor& x) {
  // Only read.
  return weights_of(
      const_cast<float*>(static_cast<const float*>(x.const_data_ptr())), x.size(1), x.size(3));
}

// G w of both kernels, see taps_to_points.
template <int kLanes>
struct WeightPoints {
  int64_t matrix;
  Scratch small, large;

  WeightPoints(const Tensor& taps_small, const Tensor& taps_large, bool transposed)
      : matrix(taps_small.size(0) * taps_small.size(3)),
        small(kSquare * matrix),
        large(kSquare * matrix) {
    const int64_t out = taps_small.size(0), in = taps_small.size(3);
    const int64_t columns = transposed ? in : out, depth = transposed ? out : in;
    torch::stable::parallel_for(0, columns / kPanel, 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) {
        taps_to_points<kLanes, 3>(
            weights_of(taps_small), small, columns, depth, transposed, panel * kPanel);
        taps_to_points<kLanes, 5>(
            weights_of(taps_large), large, columns, depth, transposed, panel * kPanel);
      }
    });
  }
};

// Calls body(part, first image, end) on torch's threads, with as many parts as there are threads.
template <typename Body>
void for_images(const ConvShape& shape, const Body& body) {
  const int64_t parts = std::min<int64_t>(torch::stable::get_num_threads(), shape.images);
  torch::stable::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      body(part, part * shape.images / parts, (part + 1) * shape.images / parts);
    }
  });
}

// Calls body(first tile, count) for the tiles of some images.
template <typename Body>
void for_tiles(const ConvShape& shape, int64_t begin, int64_t end, const Body& body) {
  const int64_t last = end * shape.tiles_per_image(), some = tiles_at_once(shape);
  for (int64_t first = begin * shape.tiles_per_image(); first < last; first += some) {
    body(first, std::min(some, last - first));
  }
}

template <int kLanes>
struct Forward {
  ConvShape shape;
  const float* x;      // [N, H, W, C]
  Tensor small, large; // [D, 3, 3, C] and [D, 5, 5, C]
  float *y_small, *y_large;

  void run() const {
    const WeightPoints<kLanes> weights(small, large, false);
    for_images(shape, [&](int64_t, int64_t begin, int64_t end) {
      const int64_t some = tiles_at_once(shape);
      const Scratch points(kSquare * some * shape.in_channels), patch(kSquare * shape.in_channels),
          sums(kSumsSquare * some * shape.out_channels);
      for_tiles(shape, begin, end, [&](int64_t first, int64_t count) {
        pixels_to_points<kLanes>(x, points, patch, shape, first, count);
        for (const bool of_small : {true, false}) {
          multiply_points(points, of_small ? weights.small : weights.large, of_small, sums, count);
          sums_to_outputs<kLanes>(sums, of_small ? y_small : y_large, shape, first, count);
        }
      });
    });
  }

  void multiply_points(
      const float* v, const float* u, bool of_small, float* sums, int64_t count) const {
    const int64_t in = shape.in_channels, out = shape.out_channels;
    const MatrixSteps steps{count, in, out, in, 1, in * kPanel, kPanel};
    for (int sum = 0; sum < kSumsSquare; ++sum) {
      const PointList list(sum, of_small);
      Factors factors[4];
      for (int k = 0; k < list.count; ++k) {
        factors[k] = {v + list.points[k] * count * in, u + list.points[k] * in * out};
      }
      multiply<kLanes>(factors, list.count, steps, sums + sum * count * out, false);
    }
  }
};

template <int kLanes>
struct Backward {
  ConvShape shape;
  const float *grad_small, *grad_large, *x;
  Tensor small, large;
  float* grad_x;                // or null
  float *out_small, *out_large; // gradients of the weights, [D, K, K, C]

  void run() const {
    const int64_t in = shape.in_channels, out = shape.out_channels;
    const int64_t parts = std::min<int64_t>(torch::stable::get_num_threads(), shape.images);
    const Scratch u_small(parts * kSquare * in * out), u_large(parts * kSquare * in * out);
    std::unique_ptr<WeightPoints<kLanes>> weights;
    if (grad_x != nullptr) {
      weights = std::make_unique<WeightPoints<kLanes>>(small, large, true);
    }
    for_images(shape, [&](int64_t part, int64_t begin, int64_t end) {
      const int64_t some = tiles_at_once(shape), image = shape.height * shape.width * in;
      const Scratch points(kSquare * some * in), patch(kSquare * in),
          z_small(kSumsSquare * some * out), z_large(kSumsSquare * some * out);
      if (grad_x != nullptr) {
        std::fill(grad_x + begin * image, grad_x + end * image, 0.0f);
      }
      bool add = false;
      for_tiles(shape, begin, end, [&](int64_t first, int64_t count) {
        outputs_to_sums<kLanes>(grad_small, z_small, shape, first, count);
        outputs_to_sums<kLanes>(grad_large, z_large, shape, first, count);
        pixels_to_points<kLanes>(x, points, patch, shape, first, count);
        add_to_weights(
            points, z_small, z_large, u_small + part * kSquare * in * out,
            u_large + part * kSquare * in * out, count, add);
        add = true;
        if (grad_x != nullptr) {
          through_weights(z_small, z_large, *weights, points, count);
          points_to_pixels<kLanes>(points, grad_x, patch, shape, first, count);
        }
      });
    });
    torch::stable::parallel_for(0, in, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        points_to_taps<kLanes, 3>(u_small, weights_of(out_small, 3, in), in, out, parts, c);
        points_to_taps<kLanes, 5>(u_large, weights_of(out_large, 5, in), in, out, parts, c);
      }
    });
  }

  // Calls body(point, its sum, whether the small kernel has it).
  template <typename Body>
  static void for_points(const Body& body) {
    for (int p = 0; p < kPoints; ++p) {
      for (int q = 0; q < kPoints; ++q) {
        body(p * kPoints + q, kSumOfPoint[p] * kSums + kSumOfPoint[q], kInSmall[p] && kInSmall[q]);
      }
    }
  }

  void add_to_weights(
      const float* v,
      const float* z_small,
      const float* z_large,
      float* u_small,
      float* u_large,
      int64_t count,
      bool add) const {
    const int64_t in = shape.in_channels, out = shape.out_channels;
    const MatrixSteps steps{in, count, out, 1, in, kPanel, out};
    for_points([&](int point, int sum, bool in_small) {
      const float* a = v + point * count * in;
      const Factors of_large{a, z_large + sum * count * out};
      multiply<kLanes>(&of_large, 1, steps, u_large + point * in * out, add);
      if (in_small) {
        const Factors of_small{a, z_small + sum * count * out};
        multiply<kLanes>(&of_small, 1, steps, u_small + point * in * out, add);
      }
    });
  }

  void through_weights(
      const float* z_small,
      const float* z_large,
      const WeightPoints<kLanes>& weights,
      float* v,
      int64_t count) const {
    const int64_t in = shape.in_channels, out = shape.out_channels;
    const MatrixSteps steps{count, out, in, out, 1, out * kPanel, kPanel};
    for_points([&](int point, int sum, bool in_small) {
      const Factors factors[2] = {
          {z_large + sum * count * out, weights.large + point * in * out},
          {z_small + sum * count * out, weights.small + point * in * out}};
      multiply<kLanes>(factors, in_small ? 2 : 1, steps, v + point * count * in, false);
    });
  }
};

// Calls body with the number of channels that a register holds, 8 or 16.
template <typename Body>
void with_lanes(const Body& body) {
  if (has_avx512()) {
    body(std::integral_constant<int, 16>());
  } else {
    body(std::integral_constant<int, 8>());
  }
}

void check_float(const char* op, const char* name, const Tensor& x, const Tensor& like) {
  check(x.dim() == 4, op, ": ", name, " must have 4 dimensions, got ", ShapeOf{x});
  check(
      x.scalar_type() == ScalarType::Float, op, ": ", name, " must be float32, got ",
      torch::headeronly::toString(x.scalar_type()));
  check(x.device() == like.device(), op, ": ", name, " and x must be on the same device");
  check_memory(op, name, x);
}

ConvShape checked_shape(
    const char* op,
    const Tensor& x,
    const Tensor& small,
    const Tensor& large,
    int64_t down,
    int64_t right) {
  check_float(op, "x", x, x);
  check_float(op, "small", small, x);
  check_float(op, "large", large, x);
  const int64_t in = x.size(3), out = small.size(0);
  check(
      in > 0 && in % kPanel == 0, op, ": x must have a multiple of ", kPanel, " channels, got ",
      in);
  check(
      out > 0 && out % kPanel == 0, op, ": there must be a multiple of ", kPanel,
      " output channels, got ", out);
  check(x.size(1) > 0 && x.size(2) > 0, op, ": x must have pixels, got ", ShapeOf{x});
  const auto has_shape = [&](const Tensor& w, int64_t taps) {
    return w.size(0) == out && w.size(1) == taps && w.size(2) == taps && w.size(3) == in;
  };
  check(
      has_shape(small, 3) && has_shape(large, 5), op, ": small and large must be [D, 3, 3, ", in,
      "] and [D, 5, 5, ", in, "], got ", ShapeOf{small}, " and ", ShapeOf{large});
  check(
      (down == 0 || down == 1) && (right == 0 || right == 1), op,
      ": down and right must be 0 or 1, got ", down, " and ", right);
  return {x.size(0), x.size(1), x.size(2), in, out, down, right};
}

float* data_of(const Tensor& x) {
  return static_cast<float*>(x.mutable_data_ptr());
}
const float* read(const Tensor& x) {
  return static_cast<const float*>(x.const_data_ptr());
}

Tensor dense(const Tensor& x) {
  return torch::stable::contiguous(x);
}

std::tuple<Tensor, Tensor> hybrid_conv_forward(
    const Tensor& x, const Tensor& small, const Tensor& large, int64_t down, int64_t right) {
  const ConvShape shape = checked_shape("hybrid_conv_forward", x, small, large, down, right);
  const auto output = [&] {
    return torch::stable::new_empty(
        x, {shape.images, shape.out_height(), shape.out_width(), shape.out_channels});
  };
  const Tensor y_small = output(), y_large = output();
  if (shape.images > 0) {
    const Tensor images = dense(x);
    with_lanes([&](auto lanes) {
      Forward<lanes>{shape,        read(images),     dense(small),
                     dense(large), data_of(y_small), data_of(y_large)}
          .run();
    });
  }
  return {y_small, y_large};
}

std::tuple<Tensor, Tensor, Tensor> hybrid_conv_backward(
    const Tensor& grad_small,
    const Tensor& grad_large,
    const Tensor& x,
    const Tensor& small,
    const Tensor& large,
    int64_t down,
    int64_t right,
    bool of_x) {
  const char* op = "hybrid_conv_backward";
  const ConvShape shape = checked_shape(op, x, small, large, down, right);
  for (const auto& [name, grad] :
       {std::pair("grad_small", &grad_small), std::pair("grad_large", &grad_large)}) {
    check_float(op, name, *grad, x);
    check(
        grad->size(0) == shape.images && grad->size(1) == shape.out_height() &&
            grad->size(2) == shape.out_width() && grad->size(3) == shape.out_channels,
        op, ": ", name, " must have the shape of the result, got ", ShapeOf{*grad});
  }
  const auto taps = [&](int64_t size) {
    return torch::stable::new_empty(x, {shape.out_channels, size, size, shape.in_channels});
  };
  Tensor grad_x = of_x ? torch::stable::new_empty(x, {x.size(0), x.size(1), x.size(2), x.size(3)})
                       : torch::stable::new_empty(x, {0});
  Tensor out_small = taps(3), out_large = taps(5);
  if (shape.images == 0) {
    torch::stable::zero_(out_small);
    torch::stable::zero_(out_large);
    return {grad_x, out_small, out_large};
  }
  const Tensor images = dense(x), from_small = dense(grad_small), from_large = dense(grad_large);
  with_lanes([&](auto lanes) {
    Backward<lanes>{
        shape,
        read(from_small),
        read(from_large),
        read(images),
        dense(small),
        dense(large),
        of_x ? data_of(grad_x) : nullptr,
        data_of(out_small),
        data_of(out_large)}
        .run();
  });
  return {grad_x, out_small, out_large};
}

} // namespace

STABLE_TORCH_LIBRARY_IMPL(originet, CPU, m) {
  m.impl("hybrid_conv_forward", ORIGINET_BOX(hybrid_conv_forward));
  m.impl("hybrid_conv_backward", ORIGINET_BOX(hybrid_conv_backward));
}

} // namespace originet
