/* Clients of a relay, and how long it took each of their requests.
 *
 * load PORT CONNECTIONS WARM_S FOR_S RATE ACCOUNTS REQUEST_FILE
 *
 * RATE 0 is a closed loop: each connection asks again as soon as it was answered. Any other is an open one: so many
 * requests a second begin, answered or not, and each one's time counts from when it was due, whether or not a
 * connection was free. In the request "@ACCOUNT_12@" stands for an account's number in 12 digits, and
 * "@KEY_OF_16_CHAR@" for 16 characters that no other request of this run has. Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX = 65536, ANSWER_MAX = 65536, EVENTS = 1024, TIMES_MAX = 20000000 };

struct client {
    int fd, used;
    double due;
    char answer[ANSWER_MAX];
};

static char request[REQUEST_MAX];
static size_t request_bytes;
static char *account_at, *key_at;
static unsigned long asked, key_base;
static long accounts;
static float *times;
static long answers, refused, lost;
static double from, until;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void ask(struct client *client, double due) {
    char written[32];
    if (account_at) {
        snprintf(written, sizeof written, "%012lu", asked * 7 % (unsigned long)accounts);
        memcpy(account_at, written, 12);
    }
    if (key_at) {
        snprintf(written, sizeof written, "%016lx", key_base + asked);
        memcpy(key_at, written, 16);
    }
    asked++;
    client->due = due;
    client->used = 0;
    if (write(client->fd, request, request_bytes) != (ssize_t)request_bytes) lost++;
}

static int by_size(const void *one, const void *other) {
    float a = *(const float *)one, b = *(const float *)other;
    return a < b ? -1 : a > b;
}

static double at(double share) {
    return answers ? times[(long)((double)(answers - 1) * share)] * 1e6 : 0;
}

/* Whether the client has its whole answer. */
static int hear(struct client *client) {
    for (;;) {
        ssize_t got = read(client->fd, client->answer + client->used, (size_t)(ANSWER_MAX - 1 - client->used));
        if (got < 0 && errno == EAGAIN) return 0;
        if (got <= 0) {
            fprintf(stderr, "a connection was closed\n");
            exit(1);
        }
        client->used += (int)got;
        client->answer[client->used] = 0;
        char *end = strstr(client->answer, "\r\n\r\n");
        if (!end) continue;
        char *length = strcasestr(client->answer, "content-length:");
        long body = length && length < end ? atol(length + 15) : 0;
        if (client->used < end + 4 - client->answer + body) continue;
        double ended = now();
        if (ended >= from && ended < until) {
            if (strncmp(client->answer + 9, "200", 3) != 0) {
                if (!refused++) fprintf(stderr, "%s\n", client->answer);
            } else if (answers < TIMES_MAX) {
                times[answers++] = (float)(ended - client->due);
            }
        }
        return 1;
    }
}

int main(int count, char **given) {
    if (count != 8) return fprintf(stderr, "load PORT CONNECTIONS WARM_S FOR_S RATE ACCOUNTS REQUEST_FILE\n"), 2;
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int port = atoi(given[1]), connections = atoi(given[2]), on = 1;
    double warm_s = atof(given[3]), for_s = atof(given[4]), rate = atof(given[5]);
    accounts = atol(given[6]);
    FILE *file = fopen(given[7], "rb");
    if (!file) fail(given[7]);
    request_bytes = fread(request, 1, sizeof request - 1, file);
    account_at = strstr(request, "@ACCOUNT_12@");
    key_at = strstr(request, "@KEY_OF_16_CHAR@");
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    key_base = (unsigned long)wall.tv_sec * 1000000000UL + (unsigned long)wall.tv_nsec;
    times = malloc(sizeof(float) * TIMES_MAX);
    struct client *clients = calloc((size_t)connections, sizeof *clients);
    int *idle = malloc(sizeof(int) * (size_t)connections), idling = 0;
    if (!times || !clients || !idle) fail("memory");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int all = epoll_create1(0);
    for (int each = 0; each < connections; each++) {
        int fd = clients[each].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) fail("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)each};
        epoll_ctl(all, EPOLL_CTL_ADD, fd, &event);
        fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    double began = now();
    from = began + warm_s;
    until = from + for_s;
    for (int each = connections; each-- > 0;) {
        if (rate > 0) idle[idling++] = each;
        else ask(&clients[each], now());
    }
    struct epoll_event met[EVENTS];
    unsigned long begun = 0;
    for (double moment; (moment = now()) < until;) {
        while (rate > 0 && idling && began + (double)begun / rate <= moment) {
            ask(&clients[idle[--idling]], began + (double)begun / rate);
            begun++;
        }
        struct timespec patience = {.tv_nsec = 100000000};
        if (rate > 0 && idling) {
            double left = began + (double)begun / rate - now();
            patience.tv_nsec = left > 0 ? (long)(left * 1e9) : 0;
            if (patience.tv_nsec > 100000000) patience.tv_nsec = 100000000;
        }
        int events = epoll_pwait2(all, met, EVENTS, &patience, NULL);
        for (int each = 0; each < events; each++) {
            struct client *client = &clients[met[each].data.u32];
            if (!hear(client)) continue;
            if (rate > 0) idle[idling++] = (int)met[each].data.u32;
            else ask(client, now());
        }
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    qsort(times, (size_t)answers, sizeof *times, by_size);
    printf("{\"answers\": %ld, \"refused\": %ld, \"lost\": %ld, \"for_s\": %.3f, \"p50_us\": %.0f, \"p99_us\": %.0f, "
           "\"p999_us\": %.0f, \"max_us\": %.0f, \"cpu_s\": %.3f}\n",
           answers, refused, lost, for_s, at(0.5), at(0.99), at(0.999), at(1),
           (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    return 0;
}
