// Ranks that find each other over TCP: processes of this machine, in time or not, of one world or of two.
#include "runtime/comm/meeting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 128 };

// A port that nobody has just now.
static void choose_port(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t length = sizeof any;
    char text[16];
    int holder = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(holder, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(getsockname(holder, (struct sockaddr *)&any, &length), 0);
    close(holder);
    snprintf(text, sizeof text, "%d", ntohs(any.sin_port));
    setenv("MASTER_PORT", text, 1);
    setenv("MASTER_ADDR", "localhost", 1);
    setenv("XV_MEETING_SECONDS", "20", 1);
    unsetenv("TORCHELASTIC_USE_AGENT_STORE");
}

static bool shared(int rank, int world, char *bytes, XvError *error)
{
    XvLaunch launch = {.rank_name = "RANK", .world_name = "WORLD_SIZE", .rank = rank, .world = world};
    memset(bytes, rank == 0 ? 'x' : 0, SIZE);
    return xv_meeting_share(&launch, bytes, SIZE, error);
}

// Another rank as a process: ends with 0 when it got the bytes of rank 0, else with 1.
static pid_t start(int rank, int world, int delay)
{
    pid_t child = fork();
    if (child == 0) {
        char bytes[SIZE];
        XvError error = {{0}};
        usleep((useconds_t)delay);
        bool is_good = shared(rank, world, bytes, &error) && bytes[0] == 'x' && bytes[SIZE - 1] == 'x';
        _exit(!is_good);
    }
    return child;
}

static int status_of(pid_t child)
{
    int status = 0;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

static void test_three(void **state)
{
    char bytes[SIZE];
    XvError error = {{0}};
    (void)state;
    for (int with_agent = 0; with_agent < 2; with_agent++) {
        choose_port();
        if (with_agent) {
            setenv("TORCHELASTIC_USE_AGENT_STORE", "True", 1);
        }
        pid_t early = start(2, 3, 0), late = start(1, 3, 400000);
        usleep(200000);
        assert_true(shared(0, 3, bytes, &error));
        assert_int_equal(status_of(early), 0);
        assert_int_equal(status_of(late), 0);
    }
}

static void refuse(int rank, int world, const char *part)
{
    char bytes[SIZE];
    XvError error = {{0}};
    assert_false(shared(rank, world, bytes, &error));
    if (!strstr(error.text, part)) {
        fail_msg("'%s' is not in: %s", part, error.text);
    }
}

static void test_other_world(void **state)
{
    (void)state;
    choose_port();
    pid_t other = start(1, 3, 0);
    refuse(0, 2, "rank 1 of a world of 3 has come to rank 0 of a world of 2");
    assert_int_equal(status_of(other), 1);
}

static void test_nobody(void **state)
{
    (void)state;
    choose_port();
    setenv("XV_MEETING_SECONDS", "0.3", 1);
    refuse(0, 3, "rank 1 has not come to port");
    refuse(1, 3, "rank 0 is not at localhost port");
    setenv("MASTER_ADDR", "no.such.host.invalid", 1);
    refuse(1, 3, "MASTER_ADDR is \"no.such.host.invalid\"");
}

static void test_settings(void **state)
{
    (void)state;
    choose_port();
    setenv("MASTER_PORT", "port", 1);
    refuse(0, 2, "MASTER_PORT is \"port\"");
    unsetenv("MASTER_PORT");
    refuse(0, 2, "WORLD_SIZE is 2, but MASTER_PORT, which says where rank 0 is, is not set");
    setenv("MASTER_PORT", "4000", 1);
    unsetenv("MASTER_ADDR");
    refuse(1, 2, "MASTER_ADDR, which says where rank 0 is, is not set");
}

// Somebody who is not a rank does not disturb the meeting.
static void test_stranger(void **state)
{
    char bytes[SIZE];
    XvError error = {{0}};
    (void)state;
    choose_port();
    pid_t guest = start(1, 2, 600000), stranger = fork();
    if (stranger == 0) {
        struct sockaddr_in place = {.sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)atoi(getenv("MASTER_PORT"))),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int socket_of = socket(AF_INET, SOCK_STREAM, 0);
        usleep(200000);
        bool is_sent = connect(socket_of, (struct sockaddr *)&place, sizeof place) == 0 &&
                       write(socket_of, "GET / HTTP/1.1\r\nHost: somebody\r\n\r\n", 34) > 0;
        _exit(!is_sent);
    }
    assert_true(shared(0, 2, bytes, &error));
    assert_int_equal(status_of(guest), 0);
    assert_int_equal(status_of(stranger), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three),    cmocka_unit_test(test_other_world), cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_settings), cmocka_unit_test(test_stranger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
