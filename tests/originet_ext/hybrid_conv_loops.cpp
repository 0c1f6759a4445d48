// The loops of csrc/hybrid_conv_loops.h against plain convolutions in double. Prints the largest
// errors of results, of gradients of the images and of gradients of the weights, in units of the
// largest value; with registers of 8 and of 16 channels.
#include <cmath>
#include <cstdio>
#include <vector>

#include "hybrid_conv_loops.h"

using namespace originet;

namespace {

constexpr int64_t kIn = 16, kOut = 32, kSquare = kPoints * kPoints;
constexpr ConvShape kShape{2, 9, 6, kIn, kOut, 0, 1};
const int64_t kTiles = kShape.images * kShape.tiles_per_image();

struct Error {
  double largest = 0, scale = 0;
  void add(double got, double want) {
    largest = std::fmax(largest, std::fabs(got - want));
    scale = std::fmax(scale, std::fabs(want));
  }
  double relative() const {
    return largest / scale;
  }
};

std::vector<float> random_values(int64_t count) {
  static uint32_t state = 1;
  std::vector<float> values(count);
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) * 0x1p-23f - 1;
  }
  return values;
}

// Calls body(pixel, tap, output): offsets of their first channels.
template <typename Body>
void for_products(int64_t taps, const Body& body) {
  const ConvShape& s = kShape;
  for (int64_t n = 0; n < s.images; ++n) {
    for (int64_t i = 0; i < s.out_height(); ++i) {
      for (int64_t j = 0; j < s.out_width(); ++j) {
        for (int64_t r = 0; r < taps; ++r) {
          for (int64_t q = 0; q < taps; ++q) {
            const int64_t y = 2 * i + s.down + r - taps / 2, x = 2 * j + s.right + q - taps / 2;
            if (y >= 0 && y < s.height && x >= 0 && x < s.width) {
              body(
                  ((n * s.height + y) * s.width + x) * kIn, (r * taps + q) * kIn,
                  ((n * s.out_height() + i) * s.out_width() + j) * kOut);
            }
          }
        }
      }
    }
  }
}

template <int kLanes, int kTaps>
void compare(Error& of_results, Error& of_images, Error& of_weights) {
  const int64_t pixels = kShape.images * kShape.height * kShape.width * kIn;
  const int64_t outputs = kShape.images * kShape.out_height() * kShape.out_width() * kOut;
  const int64_t matrix = kIn * kOut, step = kTaps * kTaps * kIn;
  std::vector<float> x = random_values(pixels), w = random_values(kOut * step),
                     grad = random_values(outputs);
  std::vector<double> y(outputs), dx(pixels), dw(kOut * step);
  for_products(kTaps, [&](int64_t pixel, int64_t tap, int64_t output) {
    for (int64_t d = 0; d < kOut; ++d) {
      for (int64_t c = 0; c < kIn; ++c) {
        const double weight = w[d * step + tap + c], g = grad[output + d];
        y[output + d] += weight * x[pixel + c];
        dx[pixel + c] += weight * g;
        dw[d * step + tap + c] += g * x[pixel + c];
      }
    }
  });

  std::vector<float> v(kSquare * kTiles * kIn), patch(kSquare * kIn), u(kSquare * matrix),
      sums(kSums * kSums * kTiles * kOut), got_y(outputs), got_dx(pixels), got_dw(kOut * step);
  const auto taps_of = [&](std::vector<float>& data) {
    return Weights{data.data(), step, 1, kTaps * kIn, kIn};
  };
  const auto for_points = [](const auto& body) {
    for (int p = 0; p < kPoints; ++p) {
      for (int q = 0; q < kPoints; ++q) {
        if (has_point<kTaps>(p) && has_point<kTaps>(q)) {
          body(p * kPoints + q, kSumOfPoint[p] * kSums + kSumOfPoint[q]);
        }
      }
    }
  };
  pixels_to_points<kLanes>(x.data(), v.data(), patch.data(), kShape, 0, kTiles);
  for (int64_t first = 0; first < kOut; first += kPanel) {
    taps_to_points<kLanes, kTaps>(taps_of(w), u.data(), kOut, kIn, false, first);
  }
  for_points([&](int point, int sum) {
    const Factors factors{v.data() + point * kTiles * kIn, u.data() + point * matrix};
    const MatrixSteps steps{kTiles, kIn, kOut, kIn, 1, kIn * kPanel, kPanel};
    multiply<kLanes>(&factors, 1, steps, sums.data() + sum * kTiles * kOut, true);
  });
  sums_to_outputs<kLanes>(sums.data(), got_y.data(), kShape, 0, kTiles);

  outputs_to_sums<kLanes>(grad.data(), sums.data(), kShape, 0, kTiles);
  std::vector<float> du(kSquare * matrix), dv(v.size());
  for (int64_t first = 0; first < kIn; first += kPanel) {
    taps_to_points<kLanes, kTaps>(taps_of(w), u.data(), kIn, kOut, true, first);
  }
  for_points([&](int point, int sum) {
    const float* z = sums.data() + sum * kTiles * kOut;
    const Factors of_weights{v.data() + point * kTiles * kIn, z},
        of_pixels{z, u.data() + point * matrix};
    multiply<kLanes>(
        &of_weights, 1, {kIn, kTiles, kOut, 1, kIn, kPanel, kOut}, du.data() + point * matrix,
        false);
    multiply<kLanes>(
        &of_pixels, 1, {kTiles, kOut, kIn, kOut, 1, kOut * kPanel, kPanel},
        dv.data() + point * kTiles * kIn, false);
  });
  points_to_pixels<kLanes>(dv.data(), got_dx.data(), patch.data(), kShape, 0, kTiles);
  for (int64_t c = 0; c < kIn; ++c) {
    points_to_taps<kLanes, kTaps>(du.data(), taps_of(got_dw), kIn, kOut, 1, c);
  }
  for (int64_t k = 0; k < outputs; ++k) {
    of_results.add(got_y[k], y[k]);
  }
  for (int64_t k = 0; k < pixels; ++k) {
    of_images.add(got_dx[k], dx[k]);
  }
  for (int64_t k = 0; k < kOut * step; ++k) {
    of_weights.add(got_dw[k], dw[k]);
  }
}

} // namespace

int main() {
  Error of_results, of_images, of_weights;
  compare<8, 3>(of_results, of_images, of_weights);
  compare<8, 5>(of_results, of_images, of_weights);
  compare<16, 3>(of_results, of_images, of_weights);
  compare<16, 5>(of_results, of_images, of_weights);
  std::printf(
      "%.3g %.3g %.3g\n", of_results.relative(), of_images.relative(), of_weights.relative());
}
