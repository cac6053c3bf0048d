// Steps that start processes: `clone` makes a container's first process, `enter` one more inside a running container.
// The rest of the plan runs in the child; parent and child talk over a socket that closes itself on exec.
#include "launcher.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

bool sync_send(int fd, char kind, const void *payload, size_t length, int pass_fd) {
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec parts[2] = {{&kind, 1}, {(void *)payload, length}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = length ? 2 : 1};
  if (pass_fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(head), &pass_fd, sizeof(int));
  }
  ssize_t sent;
  do sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == (ssize_t)(1 + length);
}

// Returns the payload's length, 0 too; -1 when the other end has closed.
ssize_t sync_receive(int fd, char *kind, void *payload, size_t size, int *passed_fd) {
  char control[CMSG_SPACE(sizeof(int))];
  struct iovec parts[2] = {{kind, 1}, {payload, size}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got;
  // A child that failed before it read what we sent has reset the socket; what it said is still there, behind that error.
  do got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && (errno == EINTR || errno == ECONNRESET));
  if (got <= 0) return -1;
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  if (passed_fd && head && head->cmsg_type == SCM_RIGHTS) memcpy(passed_fd, CMSG_DATA(head), sizeof(int));
  return got - 1;
}

uint64_t start_ticks(pid_t pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  char *at = strrchr(text, ')');  // the name before may hold anything
  for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
  return at ? strtoull(at + 1, NULL, 10) : 0;
}

static pid_t clone_process(uint64_t flags, const char *cgroup, struct failure *failure) {
  struct clone_args args = {.flags = flags, .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD};
  int into = -1;
  if (*cgroup) {
    into = open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (into < 0) return fail(failure, errno, "open cgroup %s", cgroup);
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (uint64_t)into;
  }
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  int error = errno;
  if (into >= 0) close(into);
  return pid < 0 ? fail(failure, error, "clone3") : pid;
}

// Runs what follows in the plan and never returns: exec, pause, or an error told to the parent.
static void __attribute__((noreturn)) run_child(struct context *context, int sync) {
  struct failure failure = {0};
  context->in_child = true;
  context->sync = sync;
  prctl(PR_SET_NAME, "sampan-init");
  if (run_steps(context, context->plan, context->at + 1, &failure) == 0) fail(&failure, EINVAL, "the plan ends without exec");
  sync_send(sync, SYNC_ERROR, &failure, sizeof failure, -1);
  _exit(127);
}

static void close_in_child(struct context *context) {
  struct session *session = &context->session;
  close(context->client);
  close(context->lock);
  close(context->listen);
  if (!context->has_session) return;
  context->stdio[0] = session->in[0];
  context->stdio[1] = session->out[1];
  context->stdio[2] = session->err[1];
}

// A plan that fails leaves no child behind.
static int abandon(pid_t pid, struct failure *failure, int error, const char *message) {
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  return fail(failure, error, "%s", message);
}

static int join_cgroups(pid_t pid, const struct step *step, uint32_t from, struct failure *failure) {
  char text[16];
  int length = snprintf(text, sizeof text, "%d", pid);
  for (uint32_t i = from; i < step->argc; i++)
    if (path_write(step->argv[i].text, text, (size_t)length) < 0)
      return fail(failure, errno, "write %d to %s", pid, step->argv[i].text);
  return 0;
}

int step_session(struct context *context, const struct step *step, struct failure *failure) {
  struct session *session = &context->session;
  const struct arg *arg = step->argv;
  *session = (struct session){
      .is_exec = strcmp(arg[1].text, "exec") == 0,
      .id = arg[2].text,
      .directory = arg[3].text,
      .socket = arg[4].text,
      .log_path = arg[5].text,
      .terminal = strstr(arg[6].text, "terminal") != NULL,
      .stdin_open = strstr(arg[6].text, "stdin") != NULL,
      .stdin_once = strstr(arg[6].text, "once") != NULL,
      .kill_rest = strstr(arg[6].text, "kill-rest") != NULL,
      .width = (uint16_t)strtoul(arg[7].text, NULL, 10),
      .height = (uint16_t)strtoul(arg[8].text, NULL, 10),
      .oom_file = arg[9].text,
      .kill_file = arg[10].text,
      .client = context->client,
      .out = {-1, -1}, .err = {-1, -1}, .in = {-1, -1}, .master = -1, .pidfd = -1, .sync = -1,
  };
  const char **procs = calloc(step->argc, sizeof *procs);
  for (uint32_t i = 11; i < step->argc; i++) procs[i - 11] = arg[i].text;
  session->procs_files = procs;
  context->has_session = true;
  setsid();
  return session_prepare(session, failure);
}

// The parent's part: joins cgroups, then follows the child until it waits (shim, pause) or has exec'ed (exec).
static int follow(struct context *context, pid_t pid, int sync, const struct step *step, uint32_t procs_from, struct failure *failure) {
  struct session *session = &context->session;
  // The child has them; a shim would hold what is mounted there.
  for (int i = 0; i < MAX_TREES; i++)
    if (context->trees[i] >= 0) close(context->trees[i]);
  bool entering = context->has_session && session->is_exec;
  if (!entering && (join_cgroups(pid, step, procs_from, failure) < 0 || !sync_send(sync, SYNC_JOINED, NULL, 0, -1))) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    // The child may have died of a failure of its own; that is the better message.
    char kind;
    struct failure told;
    while (sync_receive(sync, &kind, &told, sizeof told, NULL) >= 0)
      if (kind == SYNC_ERROR) *failure = told;
    return -1;
  }
  for (;;) {
    char kind = 0;
    union {
      struct failure failure;
      struct traced traced;
      int32_t pid;
    } told;
    int passed = -1;
    ssize_t got = sync_receive(sync, &kind, &told, sizeof told, &passed);
    if (got < 0) {
      if (!entering) return abandon(pid, failure, ECHILD, "the child ended while it was being set up");
      break;  // exec has closed the socket, or the process died: its exit tells
    }
    if (kind == SYNC_ERROR && got == sizeof told.failure) {
      kill(pid, SIGKILL);
      while (waitpid(-1, NULL, 0) > 0) {
      }
      *failure = told.failure;
      failure->message[sizeof failure->message - 1] = 0;
      return -1;
    }
    if (kind == SYNC_TRACE && got == sizeof told.traced) trace(context, told.traced);
    if (kind == SYNC_MASTER) session->master = passed;
    if (kind == SYNC_READY) break;
    if (kind == SYNC_PID) {
      waitpid(pid, NULL, 0);
      pid = told.pid;
      // Before a user namespace is entered the cgroups have been joined already.
      if (!entering) continue;
      if (join_cgroups(pid, step, procs_from, failure) < 0 || !sync_send(sync, SYNC_JOINED, NULL, 0, -1)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return -1;
      }
    }
  }
  char text[2][32];
  snprintf(text[0], sizeof text[0], "%d", pid);
  snprintf(text[1], sizeof text[1], "%llu", (unsigned long long)start_ticks(pid));
  reply_add(context->reply, 3, (const char *[]){"pid", text[0], text[1]});
  if (!context->has_session) return 0;
  session->pid = pid;
  session->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  session->sync = sync;
  session_run(context, session);
}

// clone NAMESPACES CGROUP PID_NAMESPACE PROCS_FILE...
int step_clone(struct context *context, const struct step *step, struct failure *failure) {
  const char *names = step->argv[1].text, *pid_namespace = step->argv[3].text;
  uint64_t flags = 0;
  if (strstr(names, "pid")) flags |= CLONE_NEWPID;
  if (strstr(names, "mnt")) flags |= CLONE_NEWNS;
  int sync[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) < 0) return fail(failure, errno, "socketpair");
  if (*pid_namespace) {
    int fd = open(pid_namespace, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWPID) < 0) return fail(failure, errno, "join pid namespace %s", pid_namespace);
    close(fd);
  }
  int64_t started = now_ns();
  pid_t pid = clone_process(flags, step->argv[2].text, failure);
  if (pid < 0) return -1;
  if (pid == 0) {
    close(sync[0]);
    close_in_child(context);
    run_child(context, sync[1]);
  }
  close(sync[1]);
  if (context->tracing) trace(context, (struct traced){context->at, now_ns() - started});
  return follow(context, pid, sync[0], step, 4, failure);
}

// enter PID START_TICKS NAMESPACES CGROUP PROCS_FILE...: one more process beside PID, if that is still the same one.
int step_enter(struct context *context, const struct step *step, struct failure *failure) {
  pid_t target = (pid_t)strtol(step->argv[1].text, NULL, 10);
  static const struct {
    const char *name;
    int flag;
  } known[] = {{"mnt", CLONE_NEWNS}, {"pid", CLONE_NEWPID}, {"net", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}, {"user", CLONE_NEWUSER}};
  int flags = 0, sync[2];
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strstr(step->argv[3].text, known[i].name)) flags |= known[i].flag;
  int pidfd = (int)syscall(SYS_pidfd_open, target, 0);
  if (pidfd < 0 || start_ticks(target) != strtoull(step->argv[2].text, NULL, 10))
    return fail(failure, ESRCH, "the container's process %d is gone", target);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) < 0) return fail(failure, errno, "socketpair");
  pid_t pid = clone_process(0, step->argv[4].text, failure);
  if (pid < 0) return -1;
  if (pid == 0) {
    struct failure told = {.step = (int32_t)context->at};
    close(sync[0]);
    if (setns(pidfd, flags) < 0) {
      fail(&told, errno, "setns to process %d", target);
    } else if (!(flags & CLONE_NEWUSER) || become_namespace_root(&told) == 0) {
      pid_t inner = clone_process(CLONE_PARENT, "", &told);
      if (inner == 0) {
        close_in_child(context);
        run_child(context, sync[1]);
      }
      if (inner > 0) {
        int32_t number = inner;
        sync_send(sync[1], SYNC_PID, &number, sizeof number, -1);
        _exit(0);
      }
    }
    sync_send(sync[1], SYNC_ERROR, &told, sizeof told, -1);
    _exit(127);
  }
  close(sync[1]);
  close(pidfd);
  return follow(context, pid, sync[0], step, 5, failure);
}

// warm PROCS_FILE: the first process that is moved into a v1 cgroup after a quiet tenth of a second waits for an RCU grace
// period (4 to 40 ms) while the kernel takes a lock that forks share; those that follow at once do not. A child of the
// server pays that wait beside the rest of the plan, by writing itself there, and keeps the lock at hand until the pod's
// first container has come. One at a time for all pods; only speed depends on it.
int step_warm(struct context *context, const struct step *step, struct failure *failure) {
  enum { ROUNDS = 25, PAUSE_MS = 4 };
  int fd = open(step->argv[1].text, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return 0;
  // A child of our parent, which lets the kernel reap it.
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 && clone_process(CLONE_PARENT, "", failure) == 0) {
    close(context->client);
    close(context->lock);
    close(context->listen);
    prctl(PR_SET_NAME, "sampan-warm");
    for (int round = 0; round < ROUNDS && write(fd, "0", 1) == 1; round++) poll(NULL, 0, PAUSE_MS);
    _exit(0);
  }
  close(fd);
  return 0;
}

static int wait_for(struct context *context, char wanted, struct failure *failure) {
  char kind, nothing[8];
  for (;;) {
    if (sync_receive(context->sync, &kind, nothing, sizeof nothing, NULL) < 0) _exit(126);  // the parent is gone
    if (kind == wanted) return 0;
    if (kind != SYNC_JOINED) return fail(failure, EPROTO, "unexpected message %c", kind);
  }
}

int step_joined(struct context *context, const struct step *step, struct failure *failure) {
  (void)step;
  return wait_for(context, SYNC_JOINED, failure);
}

int step_wait_start(struct context *context, const struct step *step, struct failure *failure) {
  (void)step;
  if (!sync_send(context->sync, SYNC_READY, NULL, 0, -1)) _exit(126);
  return wait_for(context, SYNC_GO, failure);
}

// quiesce MILLISECONDS: returns when no other plan runs any more (those of a runtime that has died).
int step_quiesce(struct context *context, const struct step *step, struct failure *failure) {
  long patience = strtol(step->argv[1].text, NULL, 10);
  flock(context->lock, LOCK_UN);
  while (flock(context->lock, LOCK_EX | LOCK_NB) < 0) {
    if (patience-- <= 0) return fail(failure, EBUSY, "another plan is still running");
    poll(NULL, 0, 1);
  }
  return 0;
}

// Copies both ways until both sides have ended; each direction ends on its own.
static void __attribute__((noreturn)) relay(int a, int b) {
  static struct {
    int from, to;
    bool open;
    size_t length, at;
    char bytes[65536];
  } way[2];
  way[0].from = way[1].to = a;
  way[0].to = way[1].from = b;
  way[0].open = way[1].open = true;
  for (int i = 0; i < 2; i++) fcntl(way[i].from, F_SETFL, O_NONBLOCK);
  while (way[0].open || way[1].open) {
    struct pollfd list[4];
    int count = 0, which[4];
    for (int i = 0; i < 2; i++) {
      if (!way[i].open) continue;
      bool full = way[i].length > 0;
      which[count] = i;
      list[count++] = (struct pollfd){.fd = full ? way[i].to : way[i].from, .events = full ? POLLOUT : POLLIN};
    }
    if (poll(list, (nfds_t)count, -1) < 0 && errno != EINTR) _exit(1);
    for (int n = 0; n < count; n++) {
      if (!list[n].revents) continue;
      int i = which[n];
      if (way[i].length == 0) {
        ssize_t got = read(way[i].from, way[i].bytes, sizeof way[i].bytes);
        if (got > 0) {
          way[i].length = (size_t)got;
          way[i].at = 0;
        } else if (got == 0) {
          shutdown(way[i].to, SHUT_WR);
          way[i].open = false;
          continue;
        } else if (errno != EAGAIN && errno != EINTR) {
          _exit(0);
        }
      }
      if (way[i].length > 0) {
        ssize_t put = send(way[i].to, way[i].bytes + way[i].at, way[i].length, MSG_NOSIGNAL);
        if (put > 0) {
          way[i].at += (size_t)put;
          way[i].length -= (size_t)put;
        } else if (errno != EAGAIN && errno != EINTR) {
          _exit(0);
        }
      }
    }
  }
  _exit(0);
}

// dial NAMESPACE PORT: connects to the loopback inside a network namespace; the connection becomes the stream.
int step_dial(struct context *context, const struct step *step, struct failure *failure) {
  int port = (int)strtol(step->argv[2].text, NULL, 10);
  if (*step->argv[1].text) {
    int fd = open(step->argv[1].text, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) return fail(failure, errno, "enter network namespace %s", step->argv[1].text);
    close(fd);
  }
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&four, sizeof four) < 0) {
    int error = errno;
    close(fd);
    fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&six, sizeof six) < 0) return fail(failure, error, "connect to port %d", port);
  }
  reply_add(context->reply, 1, (const char *[]){"ok"});
  if (!reply_send(context->client, context->reply)) _exit(1);
  close(context->lock);
  close(context->listen);
  set_title("sampan-launcher dial %d", port);
  relay(context->client, fd);
}
