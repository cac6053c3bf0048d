// The process that stays: a container's shim (log, facts, socket) or an exec (one client, no log). One poll loop.
//
//   stdout, stderr, pty ──► log file (CRI format)
//                      └──► attached clients, 256 KiB each; a full one pauses the container's output, and is cut off
//                           when it has taken nothing for 5 s (an exec's only client is waited for)
//   clients ──► stdin pipe (one frame at a time), start, signal, resize, reopen log
#include "launcher.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CLIENTS 64
#define FRAME_LIMIT 65536
#define BEHIND_LIMIT (256 * 1024)
#define STALL_NS 5000000000LL
#define GOODBYE_NS 1000000000LL

struct client {
  int fd;
  bool attached, control, has_stdin;
  uint32_t got;       // of the frame being read, head included
  unsigned char head[5];
  char *payload;
  bool stdin_pending; // the payload waits for room in the stdin pipe
  uint32_t stdin_at;
  char *out;
  size_t out_length, out_at, out_size;
  int64_t stalled_since;
};

static struct {
  struct session *session;
  int directory, listen, signals;
  struct log *log;
  enum { CREATED, STARTING, RUNNING, EXITED } state;
  int64_t started, finished;
  int code, signal;
  bool oom_killed, reaped;
  int start_client;
  uint32_t start_request;
  struct client clients[MAX_CLIENTS];
} self = {.directory = -1, .listen = -1, .signals = -1, .start_client = -1};

static int nonblocking(int fd) { return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

int session_prepare(struct session *session, struct failure *failure) {
  if (!session->terminal) {
    if (pipe2(session->out, O_CLOEXEC) < 0 || pipe2(session->err, O_CLOEXEC) < 0) return fail(failure, errno, "make pipes");
    if (session->stdin_open && pipe2(session->in, O_CLOEXEC) < 0) return fail(failure, errno, "make pipes");
  }
  if (session->is_exec) return 0;
  self.directory = open(session->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (self.directory < 0) return fail(failure, errno, "open %s", session->directory);
  if (*session->log_path && !(self.log = log_open(session->log_path))) return fail(failure, errno, "open log %s", session->log_path);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", self.directory, session->socket);
  self.listen = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  unlinkat(self.directory, session->socket, 0);
  mode_t before = umask(0177);
  int result = self.listen < 0 ? -1 : bind(self.listen, (struct sockaddr *)&address, sizeof address);
  umask(before);
  if (result < 0 || listen(self.listen, 32) < 0) return fail(failure, errno, "listen on %s/%s", session->directory, session->socket);
  return 0;
}

static size_t facts_text(char *text, size_t size) {
  static const char *const names[] = {"created", "created", "running", "exited"};
  struct session *session = self.session;
  return (size_t)snprintf(text, size,
                          "state=%s\npid=%d\npidStart=%llu\nshim=%d\nstarted=%lld\nfinished=%lld\ncode=%d\nsignal=%d\noom=%d\n",
                          names[self.state], session->pid, (unsigned long long)start_ticks(session->pid), getpid(),
                          (long long)self.started, (long long)self.finished, self.code, self.signal, self.oom_killed);
}

// Old or new, never half: written beside, then renamed. Not synced: a host that loses power has no containers left.
static int facts_write(void) {
  char text[512];
  size_t length = facts_text(text, sizeof text);
  int fd = openat(self.directory, "facts.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return -1;
  bool written = write_all(fd, text, length);
  close(fd);
  return written ? renameat(self.directory, "facts.new", self.directory, "facts") : -1;
}

static void client_close(struct client *client) {
  struct session *session = self.session;
  close(client->fd);
  bool had_stdin = client->attached && client->has_stdin, attached = client->attached;
  free(client->payload);
  free(client->out);
  if (self.start_client == client - self.clients) self.start_client = -1;
  *client = (struct client){.fd = -1};
  if (session->is_exec && attached && !self.reaped && session->pid > 0) {
    kill(-session->pid, SIGKILL);  // the exec'ed process leads a session of its own
    kill(session->pid, SIGKILL);
  } else if (session->stdin_once && had_stdin && session->in[1] >= 0) {
    close(session->in[1]);
    session->in[1] = -1;
  }
}

static void client_flush(struct client *client) {
  while (client->out_at < client->out_length) {
    ssize_t put = send(client->fd, client->out + client->out_at, client->out_length - client->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno == EAGAIN) return;
    if (put <= 0) return client_close(client);
    client->out_at += (size_t)put;
    client->stalled_since = 0;
  }
  client->out_at = client->out_length = 0;
  if (client->out_size > 65536) {
    free(client->out);
    client->out = NULL;
    client->out_size = 0;
  }
}

static void client_send(struct client *client, char kind, const void *payload, uint32_t length) {
  if (client->fd < 0) return;
  if (client->out_at > 0) {
    memmove(client->out, client->out + client->out_at, client->out_length - client->out_at);
    client->out_length -= client->out_at;
    client->out_at = 0;
  }
  size_t need = client->out_length + 5 + length;
  if (need > client->out_size) {
    size_t size = client->out_size ? client->out_size : 4096;
    while (size < need) size *= 2;
    char *grown = realloc(client->out, size);
    if (!grown) return client_close(client);
    client->out = grown;
    client->out_size = size;
  }
  char *at = client->out + client->out_length;
  at[0] = kind;
  memcpy(at + 1, &length, 4);
  if (length) memcpy(at + 5, payload, length);
  client->out_length = need;
}

static void answer(struct client *client, uint32_t request, char kind, const char *text) {
  char payload[600];
  size_t length = strlen(text);
  if (length > sizeof payload - 4) length = sizeof payload - 4;
  memcpy(payload, &request, 4);
  memcpy(payload + 4, text, length);
  client_send(client, kind, payload, (uint32_t)(4 + length));
  client_flush(client);
}

static void answer_errno(struct client *client, uint32_t request, const char *step) {
  char text[256];
  const char *name = strerrorname_np(errno);
  snprintf(text, sizeof text, "%s\n%s\n%s: %s", step, name ? name : "EUNKNOWN", step, strerror(errno));
  answer(client, request, 'E', text);
}

static void tell_facts(void) {
  char text[512];
  size_t length = facts_text(text, sizeof text);
  for (int i = 0; i < MAX_CLIENTS; i++)
    if (self.clients[i].fd >= 0 && self.clients[i].control) {
      client_send(&self.clients[i], 'S', text, (uint32_t)length);
      client_flush(&self.clients[i]);
    }
}

static void handle_request(struct client *client, char kind, const char *payload, uint32_t length) {
  struct session *session = self.session;
  uint32_t request = 0, value = 0;
  if (length >= 4) memcpy(&request, payload, 4);
  if (length >= 8) memcpy(&value, payload + 4, 4);
  char text[512];
  switch (kind) {
    case 'C':
      client->control = true;
      client_send(client, 'S', text, (uint32_t)facts_text(text, sizeof text));
      client_flush(client);
      break;
    case 'A':
      client->attached = true;
      client->has_stdin = length > 0 && payload[0] == 1;
      client_send(client, 'K', NULL, 0);
      client_flush(client);
      break;
    case 'g':
      if (self.state == CREATED) {
        self.state = STARTING;
        self.start_client = (int)(client - self.clients);
        self.start_request = request;
        sync_send(session->sync, SYNC_GO, NULL, 0, -1);
      } else {
        errno = EALREADY;
        answer_errno(client, request, "start");
      }
      break;
    case 'k':
      if (self.reaped || syscall(SYS_pidfd_send_signal, session->pidfd, value, NULL, 0) == 0 || errno == ESRCH)
        answer(client, request, 'K', "");
      else
        answer_errno(client, request, "pidfd_send_signal");
      break;
    case 'l':
      if (!self.log || log_reopen(self.log) == 0) answer(client, request, 'K', "");
      else answer_errno(client, request, "reopen log");
      break;
    case 'r':
      if (length >= 4 && session->master >= 0) {
        struct winsize size = {0};
        memcpy(&size.ws_col, payload, 2);
        memcpy(&size.ws_row, payload + 2, 2);
        ioctl(session->master, TIOCSWINSZ, &size);
      }
      break;
    case 'e':
      if ((session->stdin_once || session->is_exec) && session->in[1] >= 0) {
        close(session->in[1]);
        session->in[1] = -1;
      }
      break;
    default: client_close(client);
  }
}

static int stdin_fd(void) { return self.session->terminal ? self.session->master : self.session->in[1]; }

// Writes the pending frame to the process; true when it is all gone (or there is nobody to take it).
static void stdin_flush(struct client *client) {
  uint32_t length;
  memcpy(&length, client->head + 1, 4);
  while (client->stdin_at < length) {
    int fd = stdin_fd();
    if (fd < 0) break;
    ssize_t put = write(fd, client->payload + client->stdin_at, length - client->stdin_at);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno == EAGAIN) return;
    if (put <= 0) break;
    client->stdin_at += (uint32_t)put;
  }
  client->stdin_pending = false;
  client->got = 0;
}

static void client_read(struct client *client) {
  for (int rounds = 0; rounds < 16 && client->fd >= 0 && !client->stdin_pending; rounds++) {
    uint32_t length;
    memcpy(&length, client->head + 1, 4);
    bool in_head = client->got < 5;
    char *into = in_head ? (char *)client->head + client->got : client->payload + (client->got - 5);
    size_t want = in_head ? 5 - client->got : length - (client->got - 5);
    if (want > 0) {
      ssize_t got = recv(client->fd, into, want, MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (got <= 0) return client_close(client);
      client->got += (uint32_t)got;
    }
    if (client->got < 5) continue;
    memcpy(&length, client->head + 1, 4);
    if (client->got == 5 && in_head) {
      if (length > FRAME_LIMIT) return client_close(client);
      char *grown = realloc(client->payload, length + 1);
      if (!grown) return client_close(client);
      client->payload = grown;
    }
    if (client->got - 5 < length) continue;
    if (client->head[0] == 'i') {
      client->stdin_pending = true;
      client->stdin_at = 0;
      stdin_flush(client);
    } else {
      client->got = 0;
      handle_request(client, (char)client->head[0], client->payload, length);
    }
  }
}

static void accept_client(void) {
  int fd = accept4(self.listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid())
    for (int i = 0; i < MAX_CLIENTS; i++)
      if (self.clients[i].fd < 0) {
        self.clients[i] = (struct client){.fd = fd};
        return;
      }
  close(fd);
}

// Moves what a process has written to the log and the clients; closes the descriptor at its end.
static bool pump(int *fd, int stream) {
  static char bytes[32768];
  ssize_t got = read(*fd, bytes, sizeof bytes);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) {
    close(*fd);
    *fd = -1;
    return false;
  }
  if (self.log) log_write(self.log, stream, bytes, (size_t)got);
  for (int i = 0; i < MAX_CLIENTS; i++)
    if (self.clients[i].fd >= 0 && self.clients[i].attached) {
      client_send(&self.clients[i], stream == 0 ? '1' : '2', bytes, (uint32_t)got);
      client_flush(&self.clients[i]);
    }
  return true;
}

static bool is_paused(void) {
  bool paused = false;
  for (int i = 0; i < MAX_CLIENTS; i++) {
    struct client *client = &self.clients[i];
    if (client->fd < 0 || !client->attached || client->out_length - client->out_at < BEHIND_LIMIT) continue;
    int64_t now = now_ns();
    if (client->stalled_since == 0) client->stalled_since = now;
    if (!self.session->is_exec && now - client->stalled_since > STALL_NS) client_close(client);
    else paused = true;
  }
  return paused;
}

static void reap(void) {
  struct signalfd_siginfo ignored;
  while (read(self.signals, &ignored, sizeof ignored) > 0) {
  }
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid != self.session->pid) continue;
    self.reaped = true;
    self.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    self.code = WIFSIGNALED(status) ? 128 + self.signal : WEXITSTATUS(status);
  }
}

// The child's last words before it became the container's program.
static void read_sync(void) {
  struct session *session = self.session;
  char kind;
  struct failure failure = {0};
  ssize_t got = sync_receive(session->sync, &kind, &failure, sizeof failure, NULL);
  struct client *starter = self.start_client >= 0 ? &self.clients[self.start_client] : NULL;
  if (got == sizeof failure && kind == SYNC_ERROR) {
    char text[500];
    const char *name = strerrorname_np(failure.error);
    snprintf(text, sizeof text, "%d\n%s\n%.390s", failure.step, name ? name : "EUNKNOWN", failure.message);
    if (starter) answer(starter, self.start_request, 'E', text);
    self.code = 128;
  } else if (self.state == STARTING) {
    self.started = now_ns();
    self.state = RUNNING;
    facts_write();
    tell_facts();
    if (starter) answer(starter, self.start_request, 'K', "");
  }
  close(session->sync);
  session->sync = -1;
  self.start_client = -1;
}

static bool read_oom_killed(const char *path) {
  char text[1024];
  int fd = *path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return false;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return false;
  text[size] = 0;
  char *at = strncmp(text, "oom_kill ", 9) == 0 ? text : strstr(text, "\noom_kill ");
  return at && strtol(strrchr(at, 'l') ? strstr(at, "oom_kill ") + 9 : "", NULL, 10) > 0;
}

static void kill_rest(void) {
  struct session *session = self.session;
  if (*session->kill_file) path_write(session->kill_file, "1", 1);
  for (int round = 0; round < 2000; round++) {
    int found = 0;
    for (const char *const *path = session->procs_files; *path; path++) {
      FILE *file = fopen(*path, "re");
      int pid;
      while (file && fscanf(file, "%d", &pid) == 1)
        if (pid > 0) found++, kill(pid, SIGKILL);
      if (file) fclose(file);
    }
    if (found == 0) return;
    poll(NULL, 0, 1);
  }
}

// A unix socket that is closed while something it received is unread resets its peer, which then loses what it has not read
// yet, the exit code too: a last resize or input is enough. So: no more from us, then read until the peer has closed.
static void say_goodbye(void) {
  static char ignored[4096];
  for (int i = 0; i < MAX_CLIENTS; i++)
    if (self.clients[i].fd >= 0) shutdown(self.clients[i].fd, SHUT_WR);
  for (int64_t deadline = now_ns() + GOODBYE_NS;;) {
    struct pollfd list[MAX_CLIENTS];
    int of[MAX_CLIENTS];
    nfds_t count = 0;
    for (int i = 0; i < MAX_CLIENTS; i++)
      if (self.clients[i].fd >= 0 && self.clients[i].attached) {
        of[count] = i;
        list[count++] = (struct pollfd){.fd = self.clients[i].fd, .events = POLLIN};
      }
    int64_t left = deadline - now_ns();
    if (count == 0 || left <= 0 || poll(list, count, (int)(left / 1000000) + 1) == 0) return;
    for (nfds_t at = 0; at < count; at++) {
      if (!list[at].revents) continue;
      ssize_t got = recv(list[at].fd, ignored, sizeof ignored, MSG_DONTWAIT);
      if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) continue;
      close(list[at].fd);
      self.clients[of[at]].fd = -1;
    }
  }
}

static void __attribute__((noreturn)) finish(void) {
  struct session *session = self.session;
  bool failed_to_start = self.state != RUNNING && self.code == 127;
  if (session->sync >= 0) read_sync();
  if (failed_to_start && !session->is_exec && self.state != RUNNING) self.code = 128;
  if (session->kill_rest) kill_rest();
  // What the process wrote is still in the pipes; what its children would write later is not waited for.
  int *outputs[] = {&session->out[0], &session->err[0], &session->master};
  for (int i = 0; i < 3; i++)
    while (*outputs[i] >= 0 && pump(outputs[i], i == 1)) {
    }
  self.finished = now_ns();
  self.oom_killed = self.code != 0 && read_oom_killed(session->oom_file);
  self.state = EXITED;
  if (self.log) log_flush(self.log);
  if (!session->is_exec) {
    facts_write();
    unlinkat(self.directory, session->socket, 0);
    tell_facts();
  }
  int32_t code = self.code;
  for (int i = 0; i < MAX_CLIENTS; i++)
    if (self.clients[i].attached) client_send(&self.clients[i], 'x', &code, 4);
  // Clients get what is theirs; one that reads nothing for 5 s does not.
  for (int64_t deadline = now_ns() + STALL_NS; now_ns() < deadline;) {
    struct pollfd list[MAX_CLIENTS];
    nfds_t count = 0;
    for (int i = 0; i < MAX_CLIENTS; i++) {
      if (self.clients[i].fd >= 0) client_flush(&self.clients[i]);
      if (self.clients[i].fd >= 0 && self.clients[i].out_length > 0) list[count++] = (struct pollfd){.fd = self.clients[i].fd, .events = POLLOUT};
    }
    if (count == 0) break;
    if (poll(list, count, 1000) > 0) deadline = now_ns() + STALL_NS;
  }
  say_goodbye();
  _exit(0);
}

static void loop(void) {
  struct session *session = self.session;
  for (;;) {
    struct pollfd list[6 + MAX_CLIENTS];
    bool paused = is_paused(), stdin_waits = false;
    for (int i = 0; i < MAX_CLIENTS; i++)
      if (self.clients[i].fd >= 0) stdin_waits |= self.clients[i].stdin_pending;
    list[0] = (struct pollfd){.fd = self.signals, .events = POLLIN};
    list[1] = (struct pollfd){.fd = session->sync, .events = POLLIN};
    list[2] = (struct pollfd){.fd = self.listen, .events = POLLIN};
    list[3] = (struct pollfd){.fd = paused ? -1 : session->terminal ? session->master : session->out[0], .events = POLLIN};
    list[4] = (struct pollfd){.fd = paused ? -1 : session->err[0], .events = POLLIN};
    list[5] = (struct pollfd){.fd = stdin_waits ? stdin_fd() : -1, .events = POLLOUT};
    for (int i = 0; i < MAX_CLIENTS; i++) {
      struct client *client = &self.clients[i];
      short events = (client->stdin_pending ? POLLRDHUP : POLLIN) | (client->out_length > client->out_at ? POLLOUT : 0);
      list[6 + i] = (struct pollfd){.fd = client->fd, .events = events};
    }
    if (poll(list, 6 + MAX_CLIENTS, paused ? 1000 : -1) < 0 && errno != EINTR) _exit(1);
    if (list[1].revents) read_sync();
    if (list[3].revents) pump(session->terminal ? &session->master : &session->out[0], 0);
    if (list[4].revents) pump(&session->err[0], 1);
    if (list[0].revents) reap();
    if (self.reaped) finish();
    for (int i = 0; i < MAX_CLIENTS; i++) {
      struct client *client = &self.clients[i];
      if (client->fd >= 0 && client->stdin_pending) stdin_flush(client);
      if (client->fd >= 0 && list[6 + i].revents & POLLOUT) client_flush(client);
      if (client->fd < 0 || list[6 + i].fd < 0) continue;
      if (client->stdin_pending ? list[6 + i].revents & (POLLRDHUP | POLLHUP | POLLERR) : list[6 + i].revents & ~POLLOUT) {
        if (client->stdin_pending) client_close(client);
        else client_read(client);
      }
    }
    if (list[2].revents) accept_client();
  }
}

void session_run(struct context *context, struct session *session) {
  self.session = session;
  for (int i = 0; i < MAX_CLIENTS; i++) self.clients[i].fd = -1;
  int *childs[] = {&session->out[1], &session->err[1], &session->in[0]};
  for (int i = 0; i < 3; i++)
    if (*childs[i] >= 0) close(*childs[i]);
  int *ours[] = {&session->out[0], &session->err[0], &session->in[1], &session->master};
  for (int i = 0; i < 4; i++)
    if (*ours[i] >= 0) nonblocking(*ours[i]);
  close(context->listen);
  signal(SIGHUP, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigprocmask(SIG_BLOCK, &wanted, NULL);
  self.signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_NAME, session->is_exec ? "sampan-exec" : "sampan-shim");
  set_title(session->is_exec ? "sampan-launcher exec %s" : "sampan-launcher shim %s", session->id);
  if (!session->is_exec && facts_write() < 0) {
    kill(session->pid, SIGKILL);
    _exit(1);
  }
  reply_add(context->reply, 1, (const char *[]){"ok"});
  bool told = reply_send(context->client, context->reply);
  close(context->lock);
  if (session->is_exec) {
    close(session->sync);
    session->sync = -1;
    self.state = RUNNING;
    nonblocking(context->client);
    self.clients[0] = (struct client){.fd = context->client, .attached = true, .has_stdin = session->stdin_open};
    if (!told) client_close(&self.clients[0]);
  } else {
    close(context->client);
  }
  reap();  // it may have ended before we watched
  if (self.reaped) finish();
  loop();
  _exit(1);
}
