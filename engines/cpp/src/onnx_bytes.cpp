#include "onnx_bytes.h"

#include <cstddef>
#include <cstdint>

namespace rtseg_internal {
namespace {

// protobuf's wire types.
enum Wire { kVarint = 0, kEight = 1, kSized = 2, kGroupStart = 3, kGroupEnd = 4, kFour = 5 };

enum class Message { kModel, kTraining, kGraph, kFunction, kNode, kAttribute, kSparse, kTensor };

// A message within another.
struct Inside {
    Message outer;
    uint64_t number;
    Message inner;
};

constexpr Inside kInside[] = {
    // onnx.proto: the fields that lead to tensors
    {Message::kModel, 7, Message::kGraph},       {Message::kModel, 20, Message::kTraining},
    {Message::kModel, 25, Message::kFunction},   {Message::kTraining, 1, Message::kGraph},
    {Message::kTraining, 2, Message::kGraph},    {Message::kGraph, 1, Message::kNode},
    {Message::kGraph, 5, Message::kTensor},      {Message::kGraph, 15, Message::kSparse},
    {Message::kFunction, 7, Message::kNode},     {Message::kFunction, 11, Message::kAttribute},
    {Message::kNode, 5, Message::kAttribute},    {Message::kAttribute, 5, Message::kTensor},
    {Message::kAttribute, 6, Message::kGraph},   {Message::kAttribute, 10, Message::kTensor},
    {Message::kAttribute, 11, Message::kGraph},  {Message::kAttribute, 22, Message::kSparse},
    {Message::kAttribute, 23, Message::kSparse}, {Message::kSparse, 1, Message::kTensor},
    {Message::kSparse, 2, Message::kTensor},
};

constexpr uint64_t kOperatorType = 4;               // of a node
constexpr uint64_t kExternalData = 13;              // of a tensor: entries, one of them the file's name
constexpr uint64_t kLocation = 14, kExternal = 1;   // of a tensor: where its values are; in another file
constexpr uint64_t kEntryKey = 1, kEntryValue = 2;  // of an entry
constexpr int kDeepest = 200;                       // messages within one another: more than any reader takes

struct Range {
    const char* begin;
    const char* end;

    std::string text() const { return std::string(begin, end); }
};

struct Field {
    uint64_t number = 0;
    int wire = 0;
    uint64_t value = 0;  // of a varint
    Range content{};     // of a sized field
};

// Reads the fields of a message one by one.
class ProtobufFields {
  public:
    explicit ProtobufFields(Range message) : position_(message.begin), end_(message.end) {}

    // Return whether there is another field. Groups are skipped; ONNX has none.
    bool next(Field& field) {
        while (position_ < end_) {
            uint64_t tag = 0;
            if (!varint(tag)) return false;
            field = {tag >> 3, static_cast<int>(tag & 7), 0, {}};
            if (field.wire == kGroupStart || field.wire == kGroupEnd) {
                groups_ += field.wire == kGroupStart ? 1 : -1;
                continue;
            }
            if (!read_value(field) || groups_ < 0) return false;
            if (groups_ == 0) return true;
        }
        return false;
    }

  private:
    bool read_value(Field& field) {
        if (field.wire == kVarint) return varint(field.value);
        uint64_t size = field.wire == kEight ? 8 : 4;
        if (field.wire == kSized) {
            if (!varint(size)) return false;
        } else if (field.wire != kEight && field.wire != kFour) {
            return false;
        }
        if (size > static_cast<uint64_t>(end_ - position_)) return false;
        field.content = {position_, position_ + size};
        position_ += size;
        return true;
    }

    // Seven bits per byte, the lowest first.
    bool varint(uint64_t& value) {
        value = 0;
        for (int shift = 0; shift < 70 && position_ < end_; shift += 7) {
            const auto byte = static_cast<unsigned char>(*position_++);
            value |= static_cast<uint64_t>(byte & 0x7F) << shift;
            if (byte < 0x80) return true;
        }
        return false;
    }

    const char* position_;
    const char* end_;
    int groups_ = 0;
};

// Call visit(message, its fields) for every message that leads to tensors.
template <typename Visit>
void visit_messages(const std::vector<char>& content, Visit visit) {
    struct Waiting {
        Message message;
        Range range;
        int depth;
    };
    std::vector<Waiting> waiting{{Message::kModel, {content.data(), content.data() + content.size()}, 0}};
    while (!waiting.empty()) {
        const Waiting here = waiting.back();
        waiting.pop_back();
        visit(here.message, here.range);
        ProtobufFields fields(here.range);
        for (Field field; fields.next(field);)
            for (const Inside& inside : kInside)
                if (inside.outer == here.message && inside.number == field.number && field.wire == kSized &&
                    here.depth < kDeepest)
                    waiting.push_back({inside.inner, field.content, here.depth + 1});
    }
}

// Return the value of an entry whose key is "location"; empty for any other.
std::string location_of(Range entry) {
    std::string key, value;
    ProtobufFields fields(entry);
    for (Field field; fields.next(field);) {
        if (field.wire != kSized) continue;
        if (field.number == kEntryKey) key = field.content.text();
        if (field.number == kEntryValue) value = field.content.text();
    }
    return key == "location" ? value : "";
}

}  // namespace

std::set<std::string> operator_types(const std::vector<char>& content) {
    std::set<std::string> types;
    visit_messages(content, [&](Message message, Range range) {
        if (message != Message::kNode) return;
        ProtobufFields fields(range);
        for (Field field; fields.next(field);)
            if (field.number == kOperatorType && field.wire == kSized) types.insert(field.content.text());
    });
    return types;
}

std::set<std::string> external_files(const std::vector<char>& content) {
    std::set<std::string> files;
    visit_messages(content, [&](Message message, Range range) {
        if (message != Message::kTensor) return;
        bool is_external = false;
        std::string location;
        ProtobufFields fields(range);
        for (Field field; fields.next(field);) {
            if (field.number == kLocation && field.wire == kVarint)
                is_external = is_external || (field.value & 0xFFFFFFFF) == kExternal;
            if (field.number == kExternalData && field.wire == kSized) {
                const std::string named = location_of(field.content);
                if (!named.empty()) location = named;
            }
        }
        if (is_external) files.insert(location.empty() ? "a file without a name" : location);
    });
    return files;
}

}  // namespace rtseg_internal
