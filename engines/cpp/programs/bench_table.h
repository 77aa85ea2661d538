// A benchmark as a plain table, with the columns and words of `rtseg bench`.
#ifndef RTSEG_PROGRAMS_BENCH_TABLE_H
#define RTSEG_PROGRAMS_BENCH_TABLE_H

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace programs {

// Return the table and its legend from the result of bench_document.
std::string bench_text(const nlohmann::ordered_json& document);

}  // namespace programs

#endif
