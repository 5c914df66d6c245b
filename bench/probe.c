// SPDX-License-Identifier: Apache-2.0
// Preloaded into a VM (LD_PRELOAD) it counts, in the very binaries that are shipped, what they copy and how long NIF calls
// take. The counters are in the file that PROBE_FILE names, which merlon_bench_counts reads while the VM runs.
//
// Copies: bytes of memcpy and memmove from 64 bytes on, by who called. Shorter ones are mostly inlined.
// Calls: of every function of a NIF library that is not dirty; CPU time of the thread, so that time in which the
// kernel had given the core to another does not count.
// System calls: those that the VM and its libraries make through libc, not what libc makes by itself. Under strace the VM
// would be so slow that it sleeps and wakes up at other times than it does by itself.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <erl_nif.h>
#include "counters.h"

#define SHORTEST 64
#define LONG_NS 1000000
#define MOST 128

static struct counters {
    uint64_t nif_copied, vm_copied, other_copied;
    uint64_t calls, long_calls, longest_ns;
    char longest[40];
    uint64_t socket_calls, other_calls, yields;
} nowhere, *counters = &nowhere;

static struct range { uintptr_t from, to; } vm, nif;

static void add(uint64_t *counter, uint64_t n) { __atomic_fetch_add(counter, n, __ATOMIC_RELAXED); }

static int within(const struct range *range, const void *caller) {
    return (uintptr_t)caller >= range->from && (uintptr_t)caller < range->to;
}

// ---- copies ----

static void count(size_t n, const void *caller) {
    if (n < SHORTEST) return;
    add(within(&nif, caller) ? &counters->nif_copied : within(&vm, caller) ? &counters->vm_copied : &counters->other_copied, n);
}

typedef void *copy(void *, const void *, size_t);
static copy *real_memcpy, *real_memmove;

// Before the real ones are known.
static void *bytewise(void *to, const void *from, size_t n) {
    volatile char *t = to;
    const volatile char *f = from;
    if (t <= f) for (size_t i = 0; i < n; i++) t[i] = f[i];
    else while (n--) t[n] = f[n];
    return to;
}

void *memcpy(void *to, const void *from, size_t n) {
    count(n, __builtin_return_address(0));
    return (real_memcpy ? real_memcpy : bytewise)(to, from, n);
}

void *memmove(void *to, const void *from, size_t n) {
    count(n, __builtin_return_address(0));
    return (real_memmove ? real_memmove : bytewise)(to, from, n);
}

// ---- system calls ----

#define SYSTEM_CALL(of, type, name, parameters, ...) \
    type name parameters { \
        static type (*real_##name) parameters; \
        if (!real_##name) real_##name = (type (*) parameters)dlsym(RTLD_NEXT, #name); \
        add(&counters->of, 1); \
        return real_##name(__VA_ARGS__); \
    }

SYSTEM_CALL(socket_calls, ssize_t, recv, (int fd, void *b, size_t n, int f), fd, b, n, f)
SYSTEM_CALL(socket_calls, ssize_t, recvfrom, (int fd, void *b, size_t n, int f, __SOCKADDR_ARG a, socklen_t *l), fd, b, n, f, a, l)
SYSTEM_CALL(socket_calls, ssize_t, sendto, (int fd, const void *b, size_t n, int f, __CONST_SOCKADDR_ARG a, socklen_t l), fd, b, n, f, a, l)
SYSTEM_CALL(socket_calls, ssize_t, recvmsg, (int fd, struct msghdr *m, int f), fd, m, f)
SYSTEM_CALL(socket_calls, ssize_t, send, (int fd, const void *b, size_t n, int f), fd, b, n, f)
SYSTEM_CALL(socket_calls, ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), fd, m, f)
SYSTEM_CALL(socket_calls, ssize_t, writev, (int fd, const struct iovec *v, int n), fd, v, n)
SYSTEM_CALL(other_calls, ssize_t, readv, (int fd, const struct iovec *v, int n), fd, v, n)
SYSTEM_CALL(other_calls, ssize_t, read, (int fd, void *b, size_t n), fd, b, n)
SYSTEM_CALL(other_calls, ssize_t, write, (int fd, const void *b, size_t n), fd, b, n)
SYSTEM_CALL(other_calls, int, poll, (struct pollfd *p, nfds_t n, int ms), p, n, ms)
SYSTEM_CALL(other_calls, int, epoll_wait, (int fd, struct epoll_event *e, int n, int ms), fd, e, n, ms)
SYSTEM_CALL(other_calls, int, epoll_ctl, (int fd, int op, int of, struct epoll_event *e), fd, op, of, e)
SYSTEM_CALL(other_calls, int, timerfd_settime, (int fd, int f, const struct itimerspec *t, struct itimerspec *o), fd, f, t, o)
// A scheduler that spins before it sleeps.
SYSTEM_CALL(yields, int, sched_yield, (void))

// The VM's threads sleep and wake each other by futex(2), which has no wrapper.
long syscall(long number, ...) {
    static long (*real_syscall)(long, ...);
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    if (!real_syscall) real_syscall = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    add(&counters->other_calls, 1);
    return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// ---- calls ----

typedef ERL_NIF_TERM function(ErlNifEnv *, int, const ERL_NIF_TERM *);
static function *real[MOST];
static const char *names[MOST];
static unsigned known;

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static ERL_NIF_TERM timed(unsigned i, ErlNifEnv *env, int argc, const ERL_NIF_TERM *argv) {
    uint64_t start = cpu_ns();
    ERL_NIF_TERM result = real[i](env, argc, argv);
    uint64_t ns = cpu_ns() - start;
    add(&counters->calls, 1);
    if (ns > LONG_NS) add(&counters->long_calls, 1);
    if (ns > counters->longest_ns) {
        counters->longest_ns = ns;
        strncpy(counters->longest, names[i], sizeof counters->longest - 1);
    }
    return result;
}

#define ONE(i) static ERL_NIF_TERM timed_##i(ErlNifEnv *e, int c, const ERL_NIF_TERM *v) { return timed(0x##i, e, c, v); }
#define SIXTEEN(EACH, h) EACH(h##0) EACH(h##1) EACH(h##2) EACH(h##3) EACH(h##4) EACH(h##5) EACH(h##6) EACH(h##7) \
    EACH(h##8) EACH(h##9) EACH(h##a) EACH(h##b) EACH(h##c) EACH(h##d) EACH(h##e) EACH(h##f)
#define ALL(EACH) SIXTEEN(EACH, 0) SIXTEEN(EACH, 1) SIXTEEN(EACH, 2) SIXTEEN(EACH, 3) \
    SIXTEEN(EACH, 4) SIXTEEN(EACH, 5) SIXTEEN(EACH, 6) SIXTEEN(EACH, 7)
ALL(ONE)
#define NAME(i) timed_##i,
static function *const stand_ins[MOST] = {ALL(NAME)};

// A library's functions are replaced by stand-ins that time them.
static ErlNifEntry *watched(ErlNifEntry *entry) {
    ErlNifFunc *funcs = calloc(entry->num_of_funcs, sizeof *funcs);
    for (int i = 0; i < entry->num_of_funcs; i++) {
        funcs[i] = entry->funcs[i];
        if (funcs[i].flags || known == MOST) continue;
        real[known] = funcs[i].fptr;
        names[known] = funcs[i].name;
        funcs[i].fptr = stand_ins[known++];
    }
    entry->funcs = funcs;
    return entry;
}

static void range_of(const void *inside, struct range *range);

typedef ErlNifEntry *init(void);
static init *real_init;

static ErlNifEntry *nif_init(void) {
    ErlNifEntry *entry = real_init();
    if (strcmp(entry->name, "merlon_nif")) return entry;
    range_of((void *)real_init, &nif);
    return watched(entry);
}

typedef void *lookup(void *, const char *);

// The VM looks a NIF library's nif_init up by this.
void *dlsym(void *handle, const char *name) {
    static lookup *real_dlsym;
    if (!real_dlsym) real_dlsym = (lookup *)dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    if (!real_dlsym) real_dlsym = (lookup *)dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    void *found = real_dlsym(handle, name);
    if (!found || strcmp(name, "nif_init")) return found;
    real_init = (init *)found;
    return (void *)nif_init;
}

// ---- where code is ----

struct search { uintptr_t inside; struct range *range; };

static int look(struct dl_phdr_info *info, size_t size, void *data) {
    struct search *search = data;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + h->p_vaddr, to = from + h->p_memsz;
        if (h->p_type == PT_LOAD && (h->p_flags & PF_X) && (!search->inside || (search->inside >= from && search->inside < to))) {
            *search->range = (struct range){from, to};
            return 1;
        }
    }
    return !search->inside;
}

// Code of the object that `inside` is in, of the program itself if it is NULL.
static void range_of(const void *inside, struct range *range) {
    struct search search = {(uintptr_t)inside, range};
    dl_iterate_phdr(look, &search);
}

__attribute__((constructor)) static void start(void) {
    real_memcpy = (copy *)dlsym(RTLD_NEXT, "memcpy");
    real_memmove = (copy *)dlsym(RTLD_NEXT, "memmove");
    range_of(NULL, &vm);
    void *map = shared_counters(sizeof *counters);
    if (map) counters = map;
}
