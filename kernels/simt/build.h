// SPDX-License-Identifier: MIT
//
// Which of its two builds the executor is in: the plain one, gemel::simt, or the one that tells the instrument what
// happens (kernels/simt/check/), gemel::check. The two share no symbol. What is said to the instrument stands in
// `if constexpr (kChecked)`, so that the plain build holds no trace of it.
#pragma once

#if defined(GEMEL_SIMT_CHECK)
#define GEMEL_EXECUTOR check
#else
#define GEMEL_EXECUTOR simt
#endif

namespace gemel::GEMEL_EXECUTOR {

#if defined(GEMEL_SIMT_CHECK)
inline constexpr bool kChecked = true;
#else
inline constexpr bool kChecked = false;
#endif

}  // namespace gemel::GEMEL_EXECUTOR
