// One meeting over TCP; see meeting.h. A guest says who it is, the host answers all when the last has come.
#include "runtime/comm/meeting.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char MAGIC[8] = "XVMEET1";

typedef struct Greeting {
    char magic[8];
    int32_t rank, world;
    uint32_t size;
} Greeting;

typedef struct Meeting {
    const XvLaunch *launch;
    const char *address;
    int port;
    double end;  // when patience ends
} Meeting;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int milliseconds_left(const Meeting *meeting)
{
    double left = (meeting->end - now()) * 1000;
    return left > 0 ? (int)left + 1 : 0;
}

static bool find_place(Meeting *meeting, XvError *error)
{
    const char *port = getenv("MASTER_PORT"), *agent = getenv("TORCHELASTIC_USE_AGENT_STORE");
    const char *patience = getenv("XV_MEETING_SECONDS");
    meeting->address = getenv("MASTER_ADDR");
    if (!meeting->address || !port) {
        return xv_fail(error, "%s is %d, but %s, which says where rank 0 is, is not set",
                       meeting->launch->world_name, meeting->launch->world,
                       port ? "MASTER_ADDR" : "MASTER_PORT");
    }
    char *rest;
    long number = strtol(port, &rest, 10);
    bool is_taken = agent && strcmp(agent, "True") == 0;
    if (*rest || number < 1 || number + is_taken > 65535) {
        return xv_fail(error, "MASTER_PORT is \"%s\"; it must be a number of a port", port);
    }
    meeting->port = (int)number + is_taken;
    meeting->end = now() + (patience ? atof(patience) : 300);
    return true;
}

// All of it, or false when the time is over or the other side has gone.
static bool move(const Meeting *meeting, int socket, void *bytes, size_t size, bool is_sent)
{
    char *at = bytes;
    while (size > 0) {
        struct pollfd ready = {.fd = socket, .events = is_sent ? POLLOUT : POLLIN};
        if (poll(&ready, 1, milliseconds_left(meeting)) <= 0) {
            return false;
        }
        ssize_t moved = is_sent ? send(socket, at, size, MSG_NOSIGNAL) : recv(socket, at, size, 0);
        if (moved <= 0) {
            return false;
        }
        at += moved;
        size -= (size_t)moved;
    }
    return true;
}

// The host -----------------------------------------------------------------------------------------------------------

static int listen_at(const Meeting *meeting, XvError *error)
{
    int on = 1, off = 0, listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_6 = listener >= 0;
    listener = is_6 ? listener : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)meeting->port)};
    struct sockaddr_in any_4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)meeting->port)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (is_6) {
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    const struct sockaddr *place = is_6 ? (const struct sockaddr *)&any : (const struct sockaddr *)&any_4;
    if (listener < 0 || bind(listener, place, is_6 ? sizeof any : sizeof any_4) != 0 ||
        listen(listener, 1024) != 0) {
        xv_fail(error, "rank 0 cannot wait for the others at port %d (MASTER_PORT): %s", meeting->port,
                strerror(errno));
        if (listener >= 0) {
            close(listener);
        }
        return -1;
    }
    return listener;
}

// The next guest that is one of us, at its rank in `guests`; strangers are turned away.
static bool receive_guest(const Meeting *meeting, int listener, int *guests, size_t size, XvError *error)
{
    const XvLaunch *launch = meeting->launch;
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    if (poll(&ready, 1, milliseconds_left(meeting)) <= 0) {
        int missing = 1;
        while (guests[missing] >= 0) {
            missing++;
        }
        return xv_fail(error, "rank %d has not come to port %d within the time that XV_MEETING_SECONDS gives",
                       missing, meeting->port);
    }
    Greeting greeting;
    Meeting short_one = *meeting;  // who says nothing does not keep the others waiting
    short_one.end = now() + 10 < meeting->end ? now() + 10 : meeting->end;
    int guest = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (guest < 0 || !move(&short_one, guest, &greeting, sizeof greeting, false) ||
        memcmp(greeting.magic, MAGIC, sizeof MAGIC) != 0) {
        if (guest >= 0) {
            close(guest);
        }
        return true;
    }
    bool is_ours = greeting.world == launch->world && greeting.size == size && greeting.rank > 0 &&
                   greeting.rank < launch->world && guests[greeting.rank] < 0;
    if (!is_ours) {
        close(guest);
        return xv_fail(error,
                       "rank %d of a world of %d has come to rank 0 of a world of %d; the ranks must be "
                       "started together, with one MASTER_PORT of their own",
                       greeting.rank, greeting.world, launch->world);
    }
    guests[greeting.rank] = guest;
    return true;
}

static bool be_host(const Meeting *meeting, void *bytes, size_t size, XvError *error)
{
    int world = meeting->launch->world, n_guests = 0;
    int listener = listen_at(meeting, error);
    int *guests = malloc((size_t)world * sizeof *guests);
    bool is_good = listener >= 0 && (guests || xv_fail(error, "no memory"));
    for (int i = 0; i < world && guests; i++) {
        guests[i] = -1;
    }
    while (is_good && n_guests + 1 < world) {
        is_good = receive_guest(meeting, listener, guests, size, error);
        n_guests = 0;
        for (int i = 1; i < world; i++) {
            n_guests += guests[i] >= 0;
        }
    }
    for (int i = 1; i < world && guests; i++) {
        if (is_good && !move(meeting, guests[i], bytes, size, true)) {
            is_good = xv_fail(error, "rank %d has gone", i);
        }
        if (guests[i] >= 0) {
            close(guests[i]);
        }
    }
    if (listener >= 0) {
        close(listener);
    }
    free(guests);
    return is_good;
}

// A guest ------------------------------------------------------------------------------------------------------------

static int connect_once(const Meeting *meeting, XvError *error)
{
    char port[16];
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    snprintf(port, sizeof port, "%d", meeting->port);
    int status = getaddrinfo(meeting->address, port, &wanted, &found), guest = -1;
    if (status != 0) {
        xv_fail(error, "MASTER_ADDR is \"%s\": %s", meeting->address, gai_strerror(status));
        return -1;
    }
    for (struct addrinfo *at = found; at && guest < 0; at = at->ai_next) {
        guest = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (guest >= 0 && connect(guest, at->ai_addr, at->ai_addrlen) != 0) {
            xv_fail(error, "rank 0 is not at %s port %d: %s", meeting->address, meeting->port,
                    strerror(errno));
            close(guest);
            guest = -1;
        }
    }
    freeaddrinfo(found);
    return guest;
}

static bool be_guest(const Meeting *meeting, void *bytes, size_t size, XvError *error)
{
    Greeting greeting = {
        .rank = meeting->launch->rank, .world = meeting->launch->world, .size = (uint32_t)size};
    memcpy(greeting.magic, MAGIC, sizeof MAGIC);
    int guest = connect_once(meeting, error);
    while (guest < 0 && milliseconds_left(meeting) > 0) {
        nanosleep(&(struct timespec){0, 100000000}, NULL);
        guest = connect_once(meeting, error);
    }
    if (guest < 0) {
        return false;
    }
    bool is_good =
        move(meeting, guest, &greeting, sizeof greeting, true) && move(meeting, guest, bytes, size, false);
    close(guest);
    return is_good ||
           xv_fail(error, "rank 0, at %s port %d, does not answer: has it ended, or is it of another run?",
                   meeting->address, meeting->port);
}

bool xv_meeting_share(const XvLaunch *launch, void *bytes, size_t size, XvError *error)
{
    Meeting meeting = {.launch = launch};
    if (!find_place(&meeting, error)) {
        return false;
    }
    return launch->rank == 0 ? be_host(&meeting, bytes, size, error) : be_guest(&meeting, bytes, size, error);
}
