// SPDX-License-Identifier: Apache-2.0
// A link with a delay between two network namespaces, where the kernel has no netem: delay NETNS NETNS MICROSECONDS.
// Makes link0 in both, TUN devices whose packets pass whole (up to 64 KiB, as over veth), and carries what is sent there
// over to the other one until it is killed. How fast the link is and when it drops is for the devices' qdiscs to say.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { PACKET = 10 + 65536, PACKETS = 1024 }; // virtio_net_hdr (10 bytes) and packet; at most so many on the way

struct way {
    int from, to;
    unsigned first, count;
    struct { int64_t due; ssize_t len; char bytes[PACKET]; } *packets;
};

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

// A TUN device belongs to the namespace in which it was opened.
static int device(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    int netns = open(path, O_RDONLY | O_CLOEXEC);
    if (netns < 0 || setns(netns, CLONE_NEWNET) != 0) fail(path);
    close(netns);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct ifreq request = {.ifr_name = "link0"};
    request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0 || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0) fail("/dev/net/tun");
    return fd;
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

// When the next packet is due.
static int64_t carry(struct way *way, int64_t delay) {
    if (way->count == 0) way->first = 0; // what is hot in the cache
    while (way->count < PACKETS) {
        unsigned last = (way->first + way->count) % PACKETS;
        ssize_t len = read(way->from, way->packets[last].bytes, PACKET);
        if (len <= 0) break; // the device is still down, or nothing was sent
        way->packets[last].due = now() + delay;
        way->packets[last].len = len;
        way->count++;
    }
    while (way->count > 0 && way->packets[way->first].due <= now()) {
        // What the other end does not take is lost.
        (void)!write(way->to, way->packets[way->first].bytes, way->packets[way->first].len);
        way->first = (way->first + 1) % PACKETS;
        way->count--;
    }
    return way->count > 0 ? way->packets[way->first].due : INT64_MAX;
}

int main(int argc, char **argv) {
    if (argc != 4) return fputs("delay NETNS NETNS MICROSECONDS\n", stderr), 2;
    int64_t delay = atoll(argv[3]) * 1000;
    int a = device(argv[1]), b = device(argv[2]);
    struct way ways[2] = {{.from = a, .to = b}, {.from = b, .to = a}};
    for (int i = 0; i < 2; i++) {
        ways[i].packets = calloc(PACKETS, sizeof *ways[i].packets);
        if (!ways[i].packets) fail("memory");
    }
    prctl(PR_SET_TIMERSLACK, 1);
    for (;;) {
        int64_t due = carry(&ways[0], delay), other = carry(&ways[1], delay);
        if (other < due) due = other;
        int64_t left = due == INT64_MAX ? INT64_C(1000000000) : due - now();
        if (left < 0) left = 0;
        struct timespec wait = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
        struct pollfd sends[2] = {{.fd = a, .events = ways[0].count < PACKETS ? POLLIN : 0},
                                  {.fd = b, .events = ways[1].count < PACKETS ? POLLIN : 0}};
        if (ppoll(sends, 2, &wait, NULL) < 0 && errno != EINTR) fail("ppoll");
        if ((sends[0].revents | sends[1].revents) & POLLERR) return 0; // a device has gone
    }
}
