// SPDX-License-Identifier: Apache-2.0
// Preloaded into a VM (LD_PRELOAD) that has been told to allocate by malloc alone (`+Mea min`) it counts what is allocated:
// calls, and the bytes that were asked for, whether they are given back later or not. The counters are in the file that
// PROBE_FILE names; merlon_bench_refusals reads it while the VM runs.
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include "counters.h"

// glibc's own, under the names that it keeps for those who stand in for them.
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static struct counters { uint64_t calls, bytes; } nowhere, *counters = &nowhere;

static void count(size_t bytes) {
    __atomic_fetch_add(&counters->calls, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&counters->bytes, bytes, __ATOMIC_RELAXED);
}

void *malloc(size_t size) { count(size); return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { count(n * size); return __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { count(size); return __libc_realloc(old, size); }
void *memalign(size_t align, size_t size) { count(size); return __libc_memalign(align, size); }
void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }

int posix_memalign(void **place, size_t align, size_t size) {
    *place = memalign(align, size);
    return *place ? 0 : ENOMEM;
}

__attribute__((constructor)) static void start(void) {
    void *map = shared_counters(sizeof *counters);
    if (map) counters = map;
}
