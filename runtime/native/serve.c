// The resident launcher: accepts on a unix socket and forks one worker per connection. The parent parses nothing and
// keeps nothing, so it can be killed and started again at any time; a worker that fails takes nobody with it.
#include "launcher.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void answer_failure(struct context *context, const struct failure *failure) {
  char step[16];
  snprintf(step, sizeof step, "%d", failure->step);
  const char *name = failure->error ? strerrorname_np(failure->error) : "";
  context->reply->length = 0;
  reply_add(context->reply, 4, (const char *[]){"error", step, name ? name : "EUNKNOWN", failure->message});
  reply_send(context->client, context->reply);
}

static void work(int client, int listen_fd, const char *state, pid_t server) {
  signal(SIGCHLD, SIG_DFL);
  prctl(PR_SET_DUMPABLE, 0);
  // Without this byte nothing of the request has been done, and the client may ask again (we were killed in between).
  if (!write_all(client, "+", 1)) _exit(1);
  // The lock tells a restarted runtime that a plan of its predecessor is still running; see step `quiesce`.
  int lock = -1;
  char path[4096];
  snprintf(path, sizeof path, "%s/lock", state);
  lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0 || flock(lock, LOCK_SH) < 0) _exit(1);

  static struct reply reply;
  static struct context context;
  context = (struct context){
      .reply = &reply, .client = client, .lock = lock, .listen = listen_fd, .netlink_host = -1, .root = -1, .sync = -1, .stdio = {-1, -1, -1}};
  for (int i = 0; i < MAX_TREES; i++) context.trees[i] = -1;
  struct plan plan;
  struct failure failure = {.step = -1};
  if (plan_read(client, &plan) < 0) {
    fail(&failure, EBADMSG, "malformed request");
    answer_failure(&context, &failure);
    _exit(1);
  }
  const char *verb = plan.steps[0].argv[0].text;
  if (strcmp(verb, "ping") == 0) {
    char pid[16];
    snprintf(pid, sizeof pid, "%d", server);
    reply_add(&reply, 3, (const char *[]){"pong", PROTOCOL, pid});
  } else if (strcmp(verb, "quit") == 0) {
    kill(server, SIGTERM);
  } else if (run_steps(&context, &plan, 0, &failure) < 0) {
    answer_failure(&context, &failure);
    _exit(1);
  }
  reply_add(&reply, 1, (const char *[]){"ok"});
  reply_send(client, &reply);
  _exit(0);
}

// Binds through the directory's own descriptor, so that the path may be longer than a socket address.
static int listen_at(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char directory[4096];
  if (strlen(path) >= sizeof directory) return errno = ENAMETOOLONG, -1;
  strcpy(directory, path);
  char *slash = strrchr(directory, '/');
  if (!slash) return errno = EINVAL, -1;
  *slash = 0;
  int at = open(slash == directory ? "/" : directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (at < 0) return -1;
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", at, slash + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  unlink(address.sun_path);
  mode_t before = umask(0177);
  int result = bind(fd, (struct sockaddr *)&address, sizeof address);
  umask(before);
  if (result == 0) result = listen(fd, 128);
  close(at);
  return result < 0 ? -1 : fd;
}

int serve(const char *socket_path, const char *state) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);  // the kernel reaps workers and shims
  umask(022);
  // One server per state directory: the lock is held for life and released by the kernel however we die.
  char path[4096];
  snprintf(path, sizeof path, "%s/serve.lock", state);
  int own = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (own < 0 || flock(own, LOCK_EX | LOCK_NB) < 0) {
    perror("sampan-launcher: another server holds the state directory");
    return 3;
  }
  int fd = listen_at(socket_path);
  if (fd < 0) {
    fprintf(stderr, "sampan-launcher: listen on %s: %s\n", socket_path, strerror(errno));
    return 1;
  }
  if (chdir("/") < 0) return 1;
  setsid();
  pid_t self = getpid();
  for (;;) {
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) poll(NULL, 0, 10);
      continue;
    }
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid()) {
      pid_t worker = fork();
      if (worker == 0) {
        close(own);
        work(client, fd, state, self);
      }
    }
    close(client);
  }
}
