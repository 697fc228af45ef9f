// SPDX-License-Identifier: MIT
//
// InputFile: a file that is read from its start to its end, of a size that is known beforehand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace gemel {

// Throws InputError naming the file: missing, no regular file (a folder, a pipe, a device), cannot be read, ended early.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& file);
  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }
  void read(void* to, std::size_t bytes);

 private:
  std::string name_;
  std::uint64_t size_ = 0;
  std::ifstream stream_;
};

}  // namespace gemel
