// The parts of the backend `tensorrt` that need neither TensorRT's headers nor CUDA's, for the tests to call.

#include <cstdio>
#include <cstring>
#include <string>

#include "end_launches.h"
#include "host_tensors.h"
#include "messages.h"
#include "preflight.h"

using namespace rtseg_internal;

namespace {

thread_local std::string answer;

// A name, the blocks, and each argument with its kind; floats by their bits.
const char* described(Launch launch) {
    answer = launch.kernel + " " + std::to_string(launch.blocks);
    for (Argument& argument : launch.arguments) {
        const char kind = argument.kind();
        int32_t narrow = 0;
        int64_t wide = 0;
        memcpy(&narrow, argument.address(), sizeof narrow);
        memcpy(&wide, argument.address(), kind == 'i' || kind == 'f' ? sizeof narrow : sizeof wide);
        answer += std::string(" ") + kind + std::to_string(kind == 'i' || kind == 'f' ? narrow : wide);
    }
    return answer.c_str();
}

ImageContract image_of(const int* image, const float* normalization) {
    ImageContract contract;
    contract.height = image[0];
    contract.width = image[1];
    contract.is_bgr = image[2] != 0;
    contract.is_letterbox = image[3] != 0;
    contract.padding = image[4];
    contract.scale = normalization[0];
    for (size_t i = 0; i < 3; ++i) {
        contract.mean[i] = normalization[1 + i];
        contract.std[i] = normalization[4 + i];
    }
    return contract;
}

}  // namespace

extern "C" {

const char* front(const int* image, const float* normalization, int height, int width, int is_bgr, int is_half) {
    return described(
        front_launch({0x1000, height, width, is_bgr != 0}, 0x2000, is_half != 0, image_of(image, normalization)));
}

const char* tail(const int* image, const float* normalization, const int* logits, int height, int width,
                 int align_corners, const float* threshold) {
    OutputContract output;
    output.align_corners = align_corners != 0;
    if (threshold != nullptr) output.threshold = *threshold;
    return described(tail_launch({0x3000, logits[0], logits[1], logits[2], logits[3] != 0, logits[4]}, 0x4000, height,
                                 width, image_of(image, normalization), output));
}

// The refusal of an engine with that manifest, empty where there is none.
const char* preflight(int is_rtx, const char* runtime, const char* built, const char* capabilities, int portable,
                      const char* compatibility, const char* release, int major, int minor) {
    Manifest manifest;
    manifest.precision = "fp16";
    manifest.build.runtime = runtime;
    manifest.build.release = built;
    manifest.build.portable = portable != 0;
    manifest.build.hardware_compatibility = compatibility;
    for (std::string rest = capabilities; !rest.empty();) {
        const size_t end = rest.find(' ');
        manifest.build.compute_capabilities.push_back(rest.substr(0, end));
        rest = end == std::string::npos ? "" : rest.substr(end + 1);
    }
    const Product& product = is_rtx != 0 ? kTensorRtRtx : kTensorRt;
    try {
        require_release(manifest, product, release);
        require_capability(manifest, product, {"A GPU", major, minor});
        answer.clear();
    } catch (const Error& error) {
        answer = error.what();
    }
    return answer.c_str();
}

const char* release_inside(const char* content, size_t size, const char* release) {
    try {
        require_release_inside({content, content + size}, release);
        answer.clear();
    } catch (const Error& error) {
        answer = error.what();
    }
    return answer.c_str();
}

// The error after TensorRT told that line with that severity.
const char* told(int severity, const char* line) {
    const MessageRecord record;
    hear(severity, line);
    answer = refusal(RTSEG_STATUS_BACKEND, "it refuses", record.errors(), "a hint").what();
    return answer.c_str();
}

const char* diagnosis(unsigned long long bits) {
    answer = rtx_diagnosis(bits, {}).what();
    return answer.c_str();
}

void to_half(const float* from, int64_t count, uint16_t* to) {
    store({"x", {count}, StoredType::kFloat16, 0}, from, to);
}

void from_half(const uint16_t* from, int64_t count, float* to) {
    unpack({"x", {count}, StoredType::kFloat16, 0}, from, to);
}

}  // extern "C"
