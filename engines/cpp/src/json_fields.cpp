#include "json_fields.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "errors.h"

namespace rtseg_internal {
namespace {

using nlohmann::json;

constexpr size_t kShown = 60;  // letters of a value in a message

[[noreturn]] void refuse(const std::string& name, const json& got, const std::string& expected) {
    throw Error(RTSEG_STATUS_MANIFEST, name + " cannot be",
                got.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, kShown), expected);
}

int integer_of(const json& value, const std::string& name, int least, int most) {
    const std::string expected = std::to_string(least) + " to " + std::to_string(most);
    if (!value.is_number_integer()) refuse(name, value, "a whole number");
    if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
        refuse(name, value, expected);
    const int64_t number = value.get<int64_t>();
    if (number < least || number > most) refuse(name, value, expected);
    return static_cast<int>(number);
}

double number_of(const json& value, const std::string& name) {
    if (!value.is_number()) refuse(name, value, "a number");
    const double number = value.get<double>();
    if (!std::isfinite(number)) refuse(name, value, "a finite number");
    return number;
}

}  // namespace

Fields::Fields(const json& object, std::string name) : object_(object), name_(std::move(name)) {
    if (!object.is_object()) refuse(name_, object, "an object");
}

bool Fields::has(const std::string& field) const { return object_.contains(field); }

void Fields::require_exactly(const std::vector<std::string>& fields) const {
    for (const std::string& field : fields)
        if (!has(field)) throw Error(RTSEG_STATUS_MANIFEST, name_ + " lacks the field " + field);
    for (const auto& entry : object_.items())
        if (std::find(fields.begin(), fields.end(), entry.key()) == fields.end())
            throw Error(RTSEG_STATUS_MANIFEST, name_ + " has an unknown field", entry.key().substr(0, kShown));
}

const json& Fields::at(const std::string& field) const {
    if (!has(field)) throw Error(RTSEG_STATUS_MANIFEST, name_ + " lacks the field " + field);
    return object_.at(field);
}

std::string Fields::text(const std::string& field) const {
    if (!at(field).is_string()) refuse(name_ + "'s " + field, at(field), "a text");
    return at(field).get<std::string>();
}

bool Fields::flag(const std::string& field) const {
    if (!at(field).is_boolean()) refuse(name_ + "'s " + field, at(field), "true or false");
    return at(field).get<bool>();
}

int Fields::integer(const std::string& field, int least, int most) const {
    return integer_of(at(field), name_ + "'s " + field, least, most);
}

double Fields::number(const std::string& field) const { return number_of(at(field), name_ + "'s " + field); }

std::vector<const json*> Fields::list(const std::string& field) const {
    if (!at(field).is_array()) refuse(name_ + "'s " + field, at(field), "a list");
    std::vector<const json*> entries;
    for (const json& entry : at(field)) entries.push_back(&entry);
    return entries;
}

std::vector<double> Fields::numbers(const std::string& field, size_t count) const {
    std::vector<double> values;
    for (const json* entry : list(field)) values.push_back(number_of(*entry, name_ + "'s " + field));
    if (values.size() != count) refuse(name_ + "'s " + field, at(field), std::to_string(count) + " numbers");
    return values;
}

std::vector<std::string> Fields::texts(const std::string& field) const {
    std::vector<std::string> values;
    for (const json* entry : list(field)) {
        if (!entry->is_string()) refuse(name_ + "'s " + field, *entry, "a text");
        values.push_back(entry->get<std::string>());
    }
    return values;
}

size_t Fields::choice(const std::string& field, const std::vector<std::string>& choices) const {
    const auto found = std::find(choices.begin(), choices.end(), text(field));
    if (found == choices.end()) {
        std::string expected;
        for (const std::string& choice : choices) expected += (expected.empty() ? "" : ", ") + choice;
        refuse(name_ + "'s " + field, at(field), expected);
    }
    return static_cast<size_t>(found - choices.begin());
}

std::vector<int> integers_of(const json& value, const std::string& name, size_t count, int least, int most) {
    if (!value.is_array() || value.size() != count) refuse(name, value, std::to_string(count) + " whole numbers");
    std::vector<int> values;
    for (const json& entry : value) values.push_back(integer_of(entry, name, least, most));
    return values;
}

}  // namespace rtseg_internal
