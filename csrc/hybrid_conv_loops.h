// The loops of a hybrid block's two convolutions on the CPU: of 3 x 3 and 5 x 5, stride 2, of the
// same image. No torch here.
//
// Both are computed by Winograd's method, in tiles of 2 x 2 output pixels. With stride 2, the even
// and the odd taps of a kernel see different pixels. In one dimension, from 7 pixels s:
//
//     even taps  F(2, 3) of s[0], s[2], s[4], s[6]: 4 products for 2 outputs of 3 taps
//     odd taps   F(2, 2) of s[1], s[3], s[5]:       3 products for 2 outputs of 2 taps
//
// so 7 products replace the 10 of 5 taps. The 3 taps of the small kernel are taps 1 to 3 of a large
// one whose outer taps are 0. Two of the 7 products are then 0, and the other 5 have the same
// factors of pixels. In two dimensions that is 49 + 25 products for 4 outputs instead of 136, and
// the pixels are transformed once for both kernels.
//
// A product of the transforms, a *point*, becomes a matrix product over channels. The outputs are
//
//     y[0] = m[0] + m[1] + m[2],  y[1] = m[1] - m[2] + m[3],
//
// where m[0] sums points 0 and 4, m[1] points 1 and 5, m[3] points 3 and 6. A sum of matrix products
// is one product of longer rows, so 16 results are left in two dimensions, the *sums*.
//
// y = A (G w * B s) has the gradients ds = B' (G w * A' dy) and dw = G' (B s * A' dy): the same
// transforms, transposed.
#pragma once

#include <cstdint>

#include "cpu_vector.h"

namespace originet {

constexpr int kPoints = 7;   // in one dimension
constexpr int kSums = 4;     // in one dimension
constexpr int kTaken = 7;    // pixels of a tile's input, in one dimension
constexpr int kTileStep = 4; // between two tiles' inputs
constexpr int kPanel = 16;   // columns of a matrix product at a time

constexpr int kSumOfPoint[kPoints] = {0, 1, 2, 3, 0, 1, 3};
constexpr bool kInSmall[kPoints] = {false, true, true, false, true, true, true};

// Some channels: as many as a register holds, 8 or 16. The compiler splits 8 where one holds fewer.
template <int count>
struct Vector {
  using type __attribute__((vector_size(count * sizeof(float)))) = float;
};
template <int count>
using Lanes = typename Vector<count>::type;

// The same in memory, at any address. A vector type with an alignment of its own would not do: clang
// forgets that where a function returns a reference.
template <int count>
struct __attribute__((packed, may_alias)) Stored {
  Lanes<count> lanes;
};

template <int count>
ORIGINET_HD Stored<count>& stored(float* at) {
  return *reinterpret_cast<Stored<count>*>(at);
}
template <int count>
ORIGINET_HD const Stored<count>& stored(const float* at) {
  return *reinterpret_cast<const Stored<count>*>(at);
}

// B, A' and G, and their transposes, in one dimension.
template <typename V>
ORIGINET_HD void transform_pixels(const V (&s)[kTaken], V (&v)[kPoints]) {
  v[0] = s[0] - s[4];
  v[1] = s[2] + s[4];
  v[2] = s[4] - s[2];
  v[3] = s[6] - s[2];
  v[4] = s[1] - s[3];
  v[5] = s[3];
  v[6] = s[5] - s[3];
}

template <typename V>
ORIGINET_HD void transform_pixels_back(const V (&v)[kPoints], V (&s)[kTaken]) {
  const V difference = v[1] - v[2];
  s[0] = v[0];
  s[1] = v[4];
  s[2] = difference - v[3];
  s[3] = v[5] - v[4] - v[6];
  s[4] = v[1] + v[2] - v[0];
  s[5] = v[6];
  s[6] = v[3];
}

template <typename V>
ORIGINET_HD void sum_outputs(const V (&m)[kSums], V (&y)[2]) {
  y[0] = m[0] + m[1] + m[2];
  y[1] = m[1] - m[2] + m[3];
}

template <typename V>
ORIGINET_HD void spread_outputs(const V (&y)[2], V (&z)[kSums]) {
  z[0] = y[0];
  z[1] = y[0] + y[1];
  z[2] = y[0] - y[1];
  z[3] = y[1];
}

template <int kTaps, typename V>
ORIGINET_HD void transform_taps(const V (&w)[kTaps], V (&u)[kPoints]) {
  if constexpr (kTaps == 5) {
    const V outer = (w[0] + w[4]) * 0.5f, inner = w[2] * 0.5f;
    u[0] = w[0];
    u[1] = outer + inner;
    u[2] = outer - inner;
    u[3] = w[4];
    u[4] = w[1];
    u[5] = w[1] + w[3];
    u[6] = w[3];
  } else {
    u[1] = w[1] * 0.5f;
    u[2] = w[1] * -0.5f;
    u[4] = w[0];
    u[5] = w[0] + w[2];
    u[6] = w[2];
  }
}

template <int kTaps, typename V>
ORIGINET_HD void transform_taps_back(const V (&u)[kPoints], V (&w)[kTaps]) {
  if constexpr (kTaps == 5) {
    const V outer = (u[1] + u[2]) * 0.5f;
    w[0] = u[0] + outer;
    w[1] = u[4] + u[5];
    w[2] = (u[1] - u[2]) * 0.5f;
    w[3] = u[5] + u[6];
    w[4] = u[3] + outer;
  } else {
    w[0] = u[4] + u[5];
    w[1] = (u[1] - u[2]) * 0.5f;
    w[2] = u[5] + u[6];
  }
}

template <int kTaps>
constexpr bool has_point(int p) {
  return kTaps == 5 || kInSmall[p];
}

// The images and the tiles of a call. Tiles are numbered in the order image, row, column.
struct ConvShape {
  int64_t images, height, width;     // of the input
  int64_t in_channels, out_channels; // multiples of kPanel
  // How far the kernels are moved. At 0, the middle tap of output pixel k is at pixel 2 k; at 1, it
  // is at 2 k + 1, as TensorFlow's padding "same" places it where the image has an even size.
  int64_t down, right;

  int64_t out_height() const {
    return height / 2 + height % 2;
  }
  int64_t out_width() const {
    return width / 2 + width % 2;
  }
  int64_t tile_rows() const {
    return (out_height() + 1) / 2;
  }
  int64_t tile_columns() const {
    return (out_width() + 1) / 2;
  }
  int64_t tiles_per_image() const {
    return tile_rows() * tile_columns();
  }
};

struct Tile {
  int64_t image, row, column;
  int64_t top, left; // of the input, which begins outside of the image at its border

  ORIGINET_HD Tile(const ConvShape& shape, int64_t number)
      : image(number / shape.tiles_per_image()),
        row(number % shape.tiles_per_image() / shape.tile_columns()),
        column(number % shape.tile_columns()),
        top(kTileStep * row - 2 + shape.down),
        left(kTileStep * column - 2 + shape.right) {}

  // Whether the whole input of the tile is in the image.
  ORIGINET_HD bool is_inside(const ConvShape& shape) const {
    return top >= 0 && left >= 0 && top + kTaken <= shape.height && left + kTaken <= shape.width;
  }
  // Of the first pixel of its input in the memory of the images.
  ORIGINET_HD int64_t offset(const ConvShape& shape) const {
    return ((image * shape.height + top) * shape.width + left) * shape.in_channels;
  }
};

// Calls body(pixel's offset in the image memory, its offset in a patch [7, 7, C]) for the pixels of
// a tile's input that are in the image.
template <typename Body>
ORIGINET_HD void for_pixels(const ConvShape& shape, const Tile& tile, const Body& body) {
  for (int64_t r = 0; r < kTaken; ++r) {
    const int64_t y = tile.top + r;
    for (int64_t q = 0; q < kTaken; ++q) {
      const int64_t x = tile.left + q;
      if (y >= 0 && y < shape.height && x >= 0 && x < shape.width) {
        body(
            ((tile.image * shape.height + y) * shape.width + x) * shape.in_channels,
            (r * kTaken + q) * shape.in_channels);
      }
    }
  }
}

// B s of `count` tiles from number `first` on: x [N, H, W, C] -> v [49, count, C].
// `patch` is memory for [7, 7, C].
template <int kLanes>
ORIGINET_MULTIVERSION void pixels_to_points(
    const float* x, float* v, float* patch, ConvShape shape, int64_t first, int64_t count) {
  const int64_t channels = shape.in_channels;
  for (int64_t t = 0; t < count; ++t) {
    const Tile tile(shape, first + t);
    const float* from = patch;
    int64_t step = channels * kTaken; // between rows
    if (tile.is_inside(shape)) {
      step = channels * shape.width;
      from = x + tile.offset(shape);
    } else {
      for (int64_t k = 0; k < kTaken * kTaken * channels; ++k) {
        patch[k] = 0;
      }
      for_pixels(shape, tile, [&](int64_t at, int64_t in_patch) {
        for (int64_t c = 0; c < channels; ++c) {
          patch[in_patch + c] = x[at + c];
        }
      });
    }
    for (int64_t c = 0; c < channels; c += kLanes) {
      // Transposed: the second transform runs along the first index.
      Lanes<kLanes> rows[kPoints][kTaken];
      for (int r = 0; r < kTaken; ++r) {
        Lanes<kLanes> s[kTaken], point[kPoints];
        for (int q = 0; q < kTaken; ++q) {
          s[q] = stored<kLanes>(from + r * step + q * channels + c).lanes;
        }
        transform_pixels(s, point);
        for (int q = 0; q < kPoints; ++q) {
          rows[q][r] = point[q];
        }
      }
      for (int q = 0; q < kPoints; ++q) {
        Lanes<kLanes> point[kPoints];
        transform_pixels(rows[q], point);
        for (int p = 0; p < kPoints; ++p) {
          stored<kLanes>(v + ((p * kPoints + q) * count + t) * channels + c).lanes = point[p];
        }
      }
    }
  }
}

// Adds B' v of the tiles to the gradient of the images: v [49, count, C] -> x [N, H, W, C].
template <int kLanes>
ORIGINET_MULTIVERSION void points_to_pixels(
    const float* v, float* x, float* patch, ConvShape shape, int64_t first, int64_t count) {
  const int64_t channels = shape.in_channels;
  for (int64_t t = 0; t < count; ++t) {
    const Tile tile(shape, first + t);
    const bool inside = tile.is_inside(shape);
    float* to = patch;
    int64_t step = channels * kTaken;
    if (inside) {
      step = channels * shape.width;
      to = x + tile.offset(shape);
    } else {
      for (int64_t k = 0; k < kTaken * kTaken * channels; ++k) {
        patch[k] = 0;
      }
    }
    for (int64_t c = 0; c < channels; c += kLanes) {
      Lanes<kLanes> rows[kTaken][kPoints];
      for (int q = 0; q < kPoints; ++q) {
        Lanes<kLanes> point[kPoints], s[kTaken];
        for (int p = 0; p < kPoints; ++p) {
          point[p] = stored<kLanes>(v + ((p * kPoints + q) * count + t) * channels + c).lanes;
        }
        transform_pixels_back(point, s);
        for (int r = 0; r < kTaken; ++r) {
          rows[r][q] = s[r];
        }
      }
      for (int r = 0; r < kTaken; ++r) {
        Lanes<kLanes> s[kTaken];
        transform_pixels_back(rows[r], s);
        for (int q = 0; q < kTaken; ++q) {
          stored<kLanes>(to + r * step + q * channels + c).lanes += s[q];
        }
      }
    }
    if (!inside) {
      for_pixels(shape, tile, [&](int64_t at, int64_t in_patch) {
        for (int64_t c = 0; c < channels; ++c) {
          x[at + c] += patch[in_patch + c];
        }
      });
    }
  }
}

// A m of the tiles: m [16, count, D] -> y [N, H', W', D].
template <int kLanes>
ORIGINET_MULTIVERSION void sums_to_outputs(
    const float* m, float* y, ConvShape shape, int64_t first, int64_t count) {
  const int64_t channels = shape.out_channels, width = shape.out_width();
  for (int64_t t = 0; t < count; ++t) {
    const Tile tile(shape, first + t);
    const int64_t down = shape.out_height() - 2 * tile.row, right = width - 2 * tile.column;
    float* to =
        y + ((tile.image * shape.out_height() + 2 * tile.row) * width + 2 * tile.column) * channels;
    for (int64_t c = 0; c < channels; c += kLanes) {
      Lanes<kLanes> rows[2][kSums];
      for (int q = 0; q < kSums; ++q) {
        Lanes<kLanes> column[kSums], output[2];
        for (int p = 0; p < kSums; ++p) {
          column[p] = stored<kLanes>(m + ((p * kSums + q) * count + t) * channels + c).lanes;
        }
        sum_outputs(column, output);
        rows[0][q] = output[0];
        rows[1][q] = output[1];
      }
      for (int r = 0; r < 2 && r < down; ++r) {
        Lanes<kLanes> output[2];
        sum_outputs(rows[r], output);
        for (int q = 0; q < 2 && q < right; ++q) {
          stored<kLanes>(to + (r * width + q) * channels + c).lanes = output[q];
        }
      }
    }
  }
}

// A' dy of the tiles: y [N, H', W', D] -> z [16, count, D].
template <int kLanes>
ORIGINET_MULTIVERSION void outputs_to_sums(
    const float* y, float* z, ConvShape shape, int64_t first, int64_t count) {
  const int64_t channels = shape.out_channels, width = shape.out_width();
  for (int64_t t = 0; t < count; ++t) {
    const Tile tile(shape, first + t);
    const int64_t down = shape.out_height() - 2 * tile.row, right = width - 2 * tile.column;
    const float* from =
        y + ((tile.image * shape.out_height() + 2 * tile.row) * width + 2 * tile.column) * channels;
    for (int64_t c = 0; c < channels; c += kLanes) {
      Lanes<kLanes> columns[kSums][2];
      for (int r = 0; r < 2; ++r) {
        Lanes<kLanes> output[2] = {}, spread[kSums];
        for (int q = 0; q < 2; ++q) {
          if (r < down && q < right) {
            output[q] = stored<kLanes>(from + (r * width + q) * channels + c).lanes;
          }
        }
        spread_outputs(output, spread);
        for (int q = 0; q < kSums; ++q) {
          columns[q][r] = spread[q];
        }
      }
      for (int q = 0; q < kSums; ++q) {
        Lanes<kLanes> spread[kSums];
        spread_outputs(columns[q], spread);
        for (int p = 0; p < kSums; ++p) {
          stored<kLanes>(z + ((p * kSums + q) * count + t) * channels + c).lanes = spread[p];
        }
      }
    }
  }
}

// Where the weights of a kernel are: [D, C, K, K] in any layout.
struct Weights {
  float* data;
  int64_t out_step, in_step, row_step, column_step;
};

// G w for the panel of 16 columns that begins at `first`: u [49, columns / 16, depth, 16]. The
// columns are output channels and the depth are input channels, or the reverse if `transposed`.
template <int kLanes, int kTaps>
ORIGINET_MULTIVERSION void taps_to_points(
    Weights w, float* u, int64_t columns, int64_t depth, bool transposed, int64_t first) {
  const int64_t column_step = transposed ? w.in_step : w.out_step;
  const int64_t depth_step = transposed ? w.out_step : w.in_step;
  for (int64_t k = 0; k < depth; ++k) {
    for (int64_t l = 0; l < kPanel; l += kLanes) {
      const float* from = w.data + (first + l) * column_step + k * depth_step;
      Lanes<kLanes> rows[kPoints][kTaps];
      for (int r = 0; r < kTaps; ++r) {
        Lanes<kLanes> taps[kTaps], point[kPoints];
        for (int q = 0; q < kTaps; ++q) {
          float gathered[kLanes];
          for (int lane = 0; lane < kLanes; ++lane) {
            gathered[lane] = from[r * w.row_step + q * w.column_step + lane * column_step];
          }
          taps[q] = stored<kLanes>(gathered).lanes;
        }
        transform_taps<kTaps>(taps, point);
        for (int q = 0; q < kPoints; ++q) {
          if (has_point<kTaps>(q)) {
            rows[q][r] = point[q];
          }
        }
      }
      for (int q = 0; q < kPoints; ++q) {
        if (!has_point<kTaps>(q)) {
          continue;
        }
        Lanes<kLanes> point[kPoints];
        transform_taps<kTaps>(rows[q], point);
        for (int p = 0; p < kPoints; ++p) {
          if (has_point<kTaps>(p)) {
            stored<kLanes>(u + (p * kPoints + q) * columns * depth + first * depth + k * kPanel + l)
                .lanes = point[p];
          }
        }
      }
    }
  }
}

// G' u for input channel c: u [49, C, D], summed over `parts` of them -> w [D, C, K, K].
template <int kLanes, int kTaps>
ORIGINET_MULTIVERSION void points_to_taps(
    const float* u,
    Weights w,
    int64_t in_channels,
    int64_t out_channels,
    int64_t parts,
    int64_t c) {
  const int64_t matrix = in_channels * out_channels;
  for (int64_t d = 0; d < out_channels; d += kLanes) {
    const float* from = u + c * out_channels + d;
    Lanes<kLanes> columns[kTaps][kPoints] = {};
    for (int q = 0; q < kPoints; ++q) {
      if (!has_point<kTaps>(q)) {
        continue;
      }
      Lanes<kLanes> point[kPoints] = {}, taps[kTaps];
      for (int p = 0; p < kPoints; ++p) {
        if (has_point<kTaps>(p)) {
          for (int64_t part = 0; part < parts; ++part) {
            point[p] += stored<kLanes>(from + ((part * kPoints + p) * kPoints + q) * matrix).lanes;
          }
        }
      }
      transform_taps_back<kTaps>(point, taps);
      for (int r = 0; r < kTaps; ++r) {
        columns[r][q] = taps[r];
      }
    }
    for (int r = 0; r < kTaps; ++r) {
      Lanes<kLanes> taps[kTaps];
      transform_taps_back<kTaps>(columns[r], taps);
      for (int q = 0; q < kTaps; ++q) {
        for (int lane = 0; lane < kLanes; ++lane) {
          w.data[(d + lane) * w.out_step + c * w.in_step + r * w.row_step + q * w.column_step] =
              taps[q][lane];
        }
      }
    }
  }
}

// One product a * b of a sum of matrix products.
struct Factors {
  const float* a; // element (row, k) at row * row_step + k * depth_step
  const float* b; // element (k, column) at column / 16 * panel_step + k * b_step + column % 16
};

struct MatrixSteps {
  int64_t rows, depth, columns;
  int64_t row_step, depth_step; // of a
  int64_t panel_step, b_step;   // of b
};

// Two registers of columns: half a panel and the other, or two panels; or one register, a panel.
template <int kLanes, int kVectors, int kRows>
ORIGINET_HD void multiply_rows(
    const Factors* factors,
    int count,
    const MatrixSteps& steps,
    int64_t row,
    int64_t panel,
    float* out,
    bool add) {
  Lanes<kLanes> sum[kRows][kVectors] = {};
  for (int f = 0; f < count; ++f) {
    const float* a = factors[f].a + row * steps.row_step;
    const float* b = factors[f].b + panel * steps.panel_step;
    for (int64_t k = 0; k < steps.depth; ++k) {
      Lanes<kLanes> columns[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        const int first = v * kLanes;
        columns[v] = stored<kLanes>(b + first / kPanel * steps.panel_step + first % kPanel).lanes;
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const float factor = a[r * steps.row_step];
        for (int v = 0; v < kVectors; ++v) {
          sum[r][v] += factor * columns[v];
        }
      }
      a += steps.depth_step;
      b += steps.b_step;
    }
  }
  float* to = out + row * steps.columns + panel * kPanel;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      Stored<kLanes>& element = stored<kLanes>(to + r * steps.columns + v * kLanes);
      element.lanes = add ? element.lanes + sum[r][v] : sum[r][v];
    }
  }
}

// All rows from `row` on, as many at a time as fit, then half as many, and so on.
template <int kLanes, int kVectors, int kRows>
ORIGINET_HD void multiply_panel(
    const Factors* factors,
    int count,
    const MatrixSteps& steps,
    int64_t row,
    int64_t panel,
    float* out,
    bool add) {
  for (; row + kRows <= steps.rows; row += kRows) {
    multiply_rows<kLanes, kVectors, kRows>(factors, count, steps, row, panel, out, add);
  }
  if constexpr (kRows > 1) {
    multiply_panel<kLanes, kVectors, kRows / 2>(factors, count, steps, row, panel, out, add);
  }
}

// out [rows, columns] (+)= the sum of `count` matrix products.
template <int kLanes>
ORIGINET_MULTIVERSION void multiply(
    const Factors* factors, int count, MatrixSteps steps, float* out, bool add) {
  // With 8 lanes, 12 sums, 2 columns and a factor fill the 16 registers. With 16 lanes there are 32
  // registers, and a depth of 8 divides what there is to do.
  constexpr int kRows = kLanes == kPanel ? 8 : 6, kWide = 2 * kLanes / kPanel;
  const int64_t panels = steps.columns / kPanel;
  int64_t panel = 0;
  for (; panel + kWide <= panels; panel += kWide) {
    multiply_panel<kLanes, 2, kRows>(factors, count, steps, 0, panel, out, add);
  }
  if (panel < panels) {
    multiply_panel<kLanes, kPanel / kLanes, kRows>(factors, count, steps, 0, panel, out, add);
  }
}

} // namespace originet
