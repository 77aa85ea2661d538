// Arrays of float32 that follow NumPy's arithmetic: shapes are broadcast, and each operation rounds once.
#ifndef RTSEG_BACKENDS_OPENVINO_FLOAT_ARRAY_H
#define RTSEG_BACKENDS_OPENVINO_FLOAT_ARRAY_H

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include <openvino/core/partial_shape.hpp>
#include <openvino/core/shape.hpp>

#include "src/errors.h"

namespace rtseg_internal {

class FloatArray {
  public:
    // A number is an array without axes.
    explicit FloatArray(float number) : numbers_{number} {}
    // numbers has as many values as the shape, in C order.
    FloatArray(ov::Shape shape, std::vector<float> numbers) : shape_(std::move(shape)), numbers_(std::move(numbers)) {}

    const ov::Shape& shape() const { return shape_; }
    const std::vector<float>& numbers() const { return numbers_; }
    // shape must have the same number of values.
    void reshape(ov::Shape shape) { shape_ = std::move(shape); }

    // Return whether a predicate holds for any number.
    template <typename Predicate>
    bool any(Predicate holds) const {
        return std::any_of(numbers_.begin(), numbers_.end(), holds);
    }

    // Throw Error where the shapes do not fit each other.
    FloatArray operator-(const FloatArray& other) const {
        return combined(other, [](float left, float right) { return left - right; });
    }
    FloatArray operator*(const FloatArray& other) const {
        return combined(other, [](float left, float right) { return left * right; });
    }

  private:
    template <typename Operation>
    FloatArray combined(const FloatArray& other, Operation operation) const {
        ov::PartialShape merged = shape_;
        if (!ov::PartialShape::broadcast_merge_into(merged, other.shape_, ov::op::AutoBroadcastType::NUMPY))
            throw Error(RTSEG_STATUS_UNSUPPORTED, "constants of a quantization do not fit each other",
                        ov::PartialShape(shape_).to_string() + " and " + ov::PartialShape(other.shape_).to_string());
        FloatArray result(merged.to_shape(), {});
        const size_t size = ov::shape_size(result.shape_);
        result.numbers_.reserve(size);
        for (size_t i = 0; i < size; ++i)
            result.numbers_.push_back(operation(broadcast(i, result.shape_), other.broadcast(i, result.shape_)));
        return result;
    }

    // Return the number at a place, counted in C order, of this array broadcast to a shape.
    float broadcast(size_t place, const ov::Shape& shape) const {
        size_t own = 0, step = 1;
        for (size_t axis = 1; axis <= shape_.size(); ++axis) {  // from the last
            const size_t side = shape_[shape_.size() - axis], whole = shape[shape.size() - axis];
            if (side != 1) own += place % whole * step;
            place /= whole;
            step *= side;
        }
        return numbers_[own];
    }

    ov::Shape shape_;
    std::vector<float> numbers_;
};

}  // namespace rtseg_internal

#endif
