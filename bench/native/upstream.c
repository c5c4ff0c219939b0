/* Instances that cost next to nothing: one process answers at several ports, as a webjs gateway would.
 *
 * upstream FIRST_PORT PORTS LIST_FILE: POST is answered as a send; GET of /api/sessions with the file's bytes; any
 * other GET as /health. Prints one line once it listens. HTTP/1.1 with Content-Length only, pipelining included.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_MAX = 262144, EVENTS = 512, FDS = 65536 };

struct peer {
    int used, room;
    char *bytes;
};

static struct peer peers[FDS];
static char is_listener[FDS];
static char *list;
static size_t list_bytes;
static unsigned long sent;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void read_list(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    fseek(file, 0, SEEK_END);
    list_bytes = (size_t)ftell(file);
    rewind(file);
    list = malloc(list_bytes + 1);
    if (!list || fread(list, 1, list_bytes, file) != list_bytes) fail(path);
    fclose(file);
}

static int listen_at(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096)) fail("listen");
    return fd;
}

static void say(int fd, const char *body, size_t bytes) {
    char head[128];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", bytes);
    char small[1024];
    if ((size_t)length + bytes <= sizeof small) {
        memcpy(small, head, (size_t)length);
        memcpy(small + length, body, bytes);
        if (write(fd, small, (size_t)length + bytes) < 0 && errno != EPIPE && errno != ECONNRESET) return;
        return;
    }
    if (write(fd, head, (size_t)length) < 0) return;
    for (size_t at = 0; at < bytes;) {
        ssize_t more = write(fd, body + at, bytes - at);
        if (more > 0) at += (size_t)more;
        else if (errno != EAGAIN) return;
    }
}

static void answer(int fd, const char *request) {
    static const char healthy[] = "{\"status\":\"healthy\"}";
    char body[128];
    if (request[0] == 'P') {
        int bytes = snprintf(body, sizeof body,
                             "{\"success\":true,\"message_id\":\"3EB0%018lu\",\"timestamp\":1795000000}", ++sent);
        say(fd, body, (size_t)bytes);
    } else if (strncmp(request, "GET /api/sessions", 17) == 0) {
        say(fd, list, list_bytes);
    } else {
        say(fd, healthy, sizeof healthy - 1);
    }
}

static void drop(int fd) {
    close(fd);
    free(peers[fd].bytes);
    memset(&peers[fd], 0, sizeof peers[fd]);
}

static void hear(int fd) {
    struct peer *peer = &peers[fd];
    for (;;) {
        if (peer->room - peer->used < 4096) {
            peer->room = peer->room ? peer->room * 2 : 8192;
            if (peer->room > REQUEST_MAX || !(peer->bytes = realloc(peer->bytes, (size_t)peer->room + 1))) return drop(fd);
        }
        ssize_t got = read(fd, peer->bytes + peer->used, (size_t)(peer->room - peer->used));
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) return drop(fd);
        peer->used += (int)got;
        peer->bytes[peer->used] = 0;
        for (char *end; (end = memmem(peer->bytes, (size_t)peer->used, "\r\n\r\n", 4));) {
            *end = 0;
            char *length = strcasestr(peer->bytes, "content-length:");
            *end = '\r';
            int whole = (int)(end - peer->bytes) + 4 + (length && length < end ? atoi(length + 15) : 0);
            if (peer->used < whole) break;
            answer(fd, peer->bytes);
            memmove(peer->bytes, peer->bytes + whole, (size_t)(peer->used - whole + 1));
            peer->used -= whole;
        }
        if (got < 4096) return;
    }
}

int main(int count, char **given) {
    if (count != 4) return fprintf(stderr, "upstream FIRST_PORT PORTS LIST_FILE\n"), 2;
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    read_list(given[3]);
    int all = epoll_create1(0), on = 1;
    for (int port = atoi(given[1]); port < atoi(given[1]) + atoi(given[2]); port++) {
        int fd = listen_at(port);
        is_listener[fd] = 1;
        epoll_ctl(all, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
    }
    printf("listening\n");
    fflush(stdout);
    struct epoll_event met[EVENTS];
    for (;;) {
        int events = epoll_wait(all, met, EVENTS, -1);
        for (int at = 0; at < events; at++) {
            int fd = met[at].data.fd;
            if (!is_listener[fd]) {
                hear(fd);
                continue;
            }
            int peer;
            while ((peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (peer >= FDS) { close(peer); continue; }
                setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                epoll_ctl(all, EPOLL_CTL_ADD, peer, &(struct epoll_event){.events = EPOLLIN, .data.fd = peer});
            }
        }
    }
}
