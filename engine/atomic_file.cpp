// SPDX-License-Identifier: MIT
//
// The order that makes it safe: data to the disk, then the new name, then the folder that holds the name.
#include "engine/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "engine/error.h"

namespace gemel {
namespace {

namespace fs = std::filesystem;

constexpr int kAttempts = 100;  // at a free temporary name

// Best effort: some file systems cannot flush a folder, and the file is complete by then.
void flush_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& file) : named_(file), target_(file) {
  std::error_code error;
  if (fs::is_symlink(file, error)) {
    target_ = fs::weakly_canonical(file, error);
    if (error) fail(error.value());
  }
  const fs::file_status status = fs::status(target_, error);  // of a new file: "not found", an error that is none
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw InputError(concat(named_.string(), ": is not a regular file; name another file to write"));
  }
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    temporary_ = target_;
    temporary_ += concat(".", ::getpid(), ".", attempt, ".tmp");
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0) {
      if (fs::is_regular_file(status)) ::fchmod(descriptor_, static_cast<mode_t>(status.permissions()));
      return;
    }
    if (errno != EEXIST) break;
  }
  fail(errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, next, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    next += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail(errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
  const int descriptor = std::exchange(descriptor_, -1);  // nothing is left to remove
  ::close(descriptor);
  flush_folder(target_.parent_path());
}

void AtomicFile::fail(int error) const {
  throw InputError(concat(named_.string(), ": cannot write: ", std::generic_category().message(error)));
}

}  // namespace gemel
