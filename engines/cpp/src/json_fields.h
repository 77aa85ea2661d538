// Reads the fields of a JSON object with their types checked.
#ifndef RTSEG_SRC_JSON_FIELDS_H
#define RTSEG_SRC_JSON_FIELDS_H

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rtseg_internal {

// Every function throws Error (RTSEG_STATUS_MANIFEST) for a field that is missing or has another type or value. The
// JSON object must outlive this one.
class Fields {
  public:
    Fields(const nlohmann::json& object, std::string name);

    const std::string& name() const { return name_; }
    bool has(const std::string& field) const;
    void require_exactly(const std::vector<std::string>& fields) const;

    const nlohmann::json& at(const std::string& field) const;
    std::string text(const std::string& field) const;
    bool flag(const std::string& field) const;
    int integer(const std::string& field, int least, int most) const;
    double number(const std::string& field) const;
    std::vector<double> numbers(const std::string& field, size_t count) const;
    std::vector<std::string> texts(const std::string& field) const;
    std::vector<const nlohmann::json*> list(const std::string& field) const;
    // Return the index of the choice that a field holds.
    size_t choice(const std::string& field, const std::vector<std::string>& choices) const;

  private:
    const nlohmann::json& object_;
    std::string name_;
};

std::vector<int> integers_of(const nlohmann::json& value, const std::string& name, size_t count, int least, int most);

}  // namespace rtseg_internal

#endif
