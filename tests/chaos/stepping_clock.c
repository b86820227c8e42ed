/* Loaded before the C library (LD_PRELOAD): the time of day is CHAOS_CLOCK's first eight bytes, in
 * seconds, ahead of the machine's. What counts seconds (CLOCK_MONOTONIC) is left alone; whoever waits
 * until a time of day waits as long as by a clock that steps before. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t none = 0;
static volatile int64_t *ahead = &none;

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("CHAOS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *shared = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (shared != MAP_FAILED) ahead = shared;
}

static long call(long number, long a, long b, long c, long d, long e, long f) {
    static long (*real)(long, ...);
    if (!real) real = dlsym(RTLD_NEXT, "syscall");
    return real(number, a, b, c, d, e, f);
}

static int is_of_day(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (call(SYS_clock_gettime, clock, (long)now, 0, 0, 0, 0)) return -1;
    if (is_of_day(clock)) now->tv_sec += *ahead;
    return 0;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}

static struct timespec by_the_machine(const struct timespec *until) {
    struct timespec found = *until;
    found.tv_sec -= *ahead;
    return found;
}

int sem_timedwait(sem_t *sem, const struct timespec *until) {
    static int (*real)(sem_t *, const struct timespec *);
    struct timespec moved = by_the_machine(until);
    if (!real) real = dlsym(RTLD_NEXT, "sem_timedwait");
    return real(sem, &moved);
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                           const struct timespec *until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    /* The bit that pthread_condattr_setclock sets, as glibc keeps it: by which clock it waits. */
    int is_monotonic = cond->__data.__wrefs & 2;
    struct timespec moved = is_monotonic ? *until : by_the_machine(until);
    if (!real) real = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    return real(cond, mutex, is_monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME, &moved);
}

int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    struct timespec moved = is_of_day(clock) ? by_the_machine(until) : *until;
    if (!real) real = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    return real(cond, mutex, clock, &moved);
}

/* Abseil, and with it gRPC and Ray, waits by futexes of its own. */
long syscall(long number, ...) {
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME) && a[3]) {
        struct timespec moved = by_the_machine((const struct timespec *)a[3]);
        return call(number, a[0], a[1], a[2], (long)&moved, a[4], a[5]);
    }
    return call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
