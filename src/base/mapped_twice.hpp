// SPDX-License-Identifier: BSD-2-Clause
#pragma once
/// @file
/// For the thread sanitizer, and nothing without it: memory that both ends of a connection map, in one process. The
/// sanitizer knows words by their addresses, so a release at one and an acquire at the other are nothing to it; here
/// it is told that they are the same word.

#include <cstddef>

#if defined(__SANITIZE_THREAD__)
#define KFX_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KFX_TSAN 1
#endif
#endif

namespace kfx::base {

#ifdef KFX_TSAN
/// `fd`: of the file that is mapped there.
void mapped(const void* begin, std::size_t bytes, int fd);
void unmapped(const void* begin) noexcept;
/// Ahead of a store with release, behind a load with acquire, of a word that may be in such memory.
void releases(const void* word) noexcept;
void acquires(const void* word) noexcept;
#else
inline void mapped(const void*, std::size_t, int) noexcept {}
inline void unmapped(const void*) noexcept {}
inline void releases(const void*) noexcept {}
inline void acquires(const void*) noexcept {}
#endif

}  // namespace kfx::base
