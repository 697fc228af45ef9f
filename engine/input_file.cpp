// SPDX-License-Identifier: MIT
//
// Files to read, checked when they are opened.
#include "engine/input_file.h"

#include <cerrno>
#include <cstring>
#include <system_error>

#include "engine/error.h"

namespace gemel {

namespace fs = std::filesystem;

InputFile::InputFile(const fs::path& file) : name_(file.string()) {
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (!fs::exists(status)) throw InputError(concat(name_, ": no such file"));
  if (!fs::is_regular_file(status)) throw InputError(concat(name_, ": is not a regular file"));
  size_ = fs::file_size(file, error);
  stream_.open(file, std::ios::binary);
  if (error || !stream_) throw InputError(concat(name_, ": cannot read: ", std::strerror(errno)));
}

void InputFile::read(void* to, std::size_t bytes) {
  stream_.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
  if (static_cast<std::size_t>(stream_.gcount()) != bytes) throw InputError(concat(name_, ": cannot read to its end"));
}

}  // namespace gemel
