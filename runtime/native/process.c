// Steps that make a process what it may be: namespaces, limits, identity, capabilities, seccomp, and exec at last.
#include "launcher.h"
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

int step_unshare(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  static const struct {
    const char *name;
    int flag;
  } known[] = {{"net", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}, {"mnt", CLONE_NEWNS}};
  int flags = 0;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strstr(step->argv[1].text, known[i].name)) flags |= known[i].flag;
  if (unshare(flags) < 0) return fail(failure, errno, "unshare %s", step->argv[1].text);
  return 0;
}

// setns PATH TYPE; TYPE `pid` takes effect for children.
int step_setns(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  const char *type = step->argv[2].text;
  int flag = strcmp(type, "net") == 0   ? CLONE_NEWNET
             : strcmp(type, "ipc") == 0 ? CLONE_NEWIPC
             : strcmp(type, "uts") == 0 ? CLONE_NEWUTS
             : strcmp(type, "pid") == 0 ? CLONE_NEWPID
                                        : -1;
  int fd = open(step->argv[1].text, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(failure, errno, "open namespace %s", step->argv[1].text);
  if (setns(fd, flag) < 0) return fail(failure, errno, "setns %s %s", type, step->argv[1].text);
  close(fd);
  return 0;
}

int step_hostname(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  if (sethostname(step->argv[1].text, step->argv[1].length) < 0) return fail(failure, errno, "sethostname %s", step->argv[1].text);
  return 0;
}

int step_rlimit(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  struct rlimit limit = {.rlim_cur = strtoull(step->argv[2].text, NULL, 10), .rlim_max = strtoull(step->argv[3].text, NULL, 10)};
  if (setrlimit((int)strtol(step->argv[1].text, NULL, 10), &limit) < 0) return fail(failure, errno, "setrlimit %s", step->argv[1].text);
  return 0;
}

int step_oom(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  if (path_write("/proc/self/oom_score_adj", step->argv[1].text, step->argv[1].length) < 0)
    return fail(failure, errno, "write %s to oom_score_adj", step->argv[1].text);
  return 0;
}

// The working directory is made when it is missing, as other runtimes do.
int step_cwd(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  const char *path = step->argv[1].text;
  if (chdir(path) < 0) {
    char partial[4096];
    if (errno != ENOENT || step->argv[1].length >= sizeof partial) return fail(failure, errno, "chdir to cwd (\"%s\")", path);
    for (size_t i = 1; i <= step->argv[1].length; i++)
      if (path[i] == '/' || path[i] == 0) {
        memcpy(partial, path, i), partial[i] = 0;
        if (mkdir(partial, 0755) < 0 && errno != EEXIST) return fail(failure, errno, "mkdir %s", partial);
      }
    if (chdir(path) < 0) return fail(failure, errno, "chdir to cwd (\"%s\")", path);
  }
  // A working directory that is outside our root would be a way out (a descriptor of the host).
  char real[4096];
  if (!getcwd(real, sizeof real) || real[0] != '/') return fail(failure, EXDEV, "cwd \"%s\" is outside the container", path);
  return 0;
}

int step_bounding(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  uint64_t keep = strtoull(step->argv[1].text, NULL, 16);
  for (int cap = 0; cap < 64; cap++) {
    int present = prctl(PR_CAPBSET_READ, cap);
    if (present < 0) break;
    if (present == 1 && !(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap) < 0)
      return fail(failure, errno, "drop capability %d from the bounding set", cap);
  }
  return 0;
}

// user UID GID GROUP...
int step_user(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  uid_t uid = (uid_t)strtoul(step->argv[1].text, NULL, 10);
  gid_t gid = (gid_t)strtoul(step->argv[2].text, NULL, 10);
  size_t count = step->argc - 3;
  gid_t *groups = calloc(count + 1, sizeof *groups);
  for (size_t i = 0; i < count; i++) groups[i] = (gid_t)strtoul(step->argv[3 + i].text, NULL, 10);
  if (prctl(PR_SET_KEEPCAPS, 1) < 0) return fail(failure, errno, "keep capabilities");
  if (setgroups(count, groups) < 0) return fail(failure, errno, "setgroups");
  free(groups);
  if (setresgid(gid, gid, gid) < 0) return fail(failure, errno, "setgid %u", gid);
  if (setresuid(uid, uid, uid) < 0) return fail(failure, errno, "setuid %u", uid);
  return 0;
}

// caps EFFECTIVE PERMITTED INHERITABLE AMBIENT, each a mask in hexadecimal.
int step_caps(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  uint64_t mask[4];
  for (int i = 0; i < 4; i++) mask[i] = strtoull(step->argv[1 + i].text, NULL, 16);
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  for (int i = 0; i < 2; i++)
    data[i] = (struct __user_cap_data_struct){(uint32_t)(mask[0] >> 32 * i), (uint32_t)(mask[1] >> 32 * i), (uint32_t)(mask[2] >> 32 * i)};
  if (syscall(SYS_capset, &head, data) < 0) return fail(failure, errno, "capset");
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int cap = 0; cap < 64; cap++)
    if ((mask[3] >> cap & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
      return fail(failure, errno, "raise ambient capability %d", cap);
  return 0;
}

int step_no_new_privs(struct context *context, const struct step *step, struct failure *failure) {
  (void)context, (void)step;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? fail(failure, errno, "no_new_privs") : 0;
}

// seccomp PROGRAM FLAGS: compiled in TypeScript; 8 bytes per instruction.
int step_seccomp(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  const struct arg *bytes = &step->argv[1];
  struct sock_filter *filter = malloc(bytes->length + 1);
  if (!filter) return fail(failure, ENOMEM, "seccomp program");
  memcpy(filter, bytes->text, bytes->length);
  struct sock_fprog program = {.len = (unsigned short)(bytes->length / sizeof *filter), .filter = filter};
  if (bytes->length % sizeof *filter || bytes->length / sizeof *filter > BPF_MAXINSNS) return fail(failure, EINVAL, "seccomp program of %u bytes", bytes->length);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, strtoul(step->argv[2].text, NULL, 10), &program) < 0) return fail(failure, errno, "load seccomp filter");
  return 0;
}

// device-filter CGROUP PROGRAM: attaches an eBPF device program to a v2 cgroup; 8 bytes per instruction.
int step_device_filter(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  int cgroup = open(step->argv[1].text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (cgroup < 0) return fail(failure, errno, "open %s", step->argv[1].text);
  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE};
  void *aligned = malloc(step->argv[2].length + 8);
  memcpy(aligned, step->argv[2].text, step->argv[2].length);
  load.insns = (uint64_t)(uintptr_t)aligned;
  load.insn_cnt = step->argv[2].length / 8;
  load.license = (uint64_t)(uintptr_t)"Apache-2.0";
  int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
  if (program < 0) return fail(failure, errno, "load device program");
  union bpf_attr attach = {.target_fd = (uint32_t)cgroup, .attach_bpf_fd = (uint32_t)program, .attach_type = BPF_CGROUP_DEVICE, .attach_flags = BPF_F_ALLOW_MULTI};
  if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach) < 0) return fail(failure, errno, "attach device program to %s", step->argv[1].text);
  close(program);
  close(cgroup);
  free(aligned);
  return 0;
}

// terminal WIDTH HEIGHT UID CONSOLE: a pty of the container's own devpts; the parent gets the master.
int step_terminal(struct context *context, const struct step *step, struct failure *failure) {
  int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;
  if (master < 0) return fail(failure, errno, "open /dev/ptmx");
  if (ioctl(master, TIOCSPTLCK, &unlock) < 0) return fail(failure, errno, "unlock pty");
  int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) return fail(failure, errno, "open pty");
  struct winsize size = {.ws_col = (unsigned short)strtoul(step->argv[1].text, NULL, 10), .ws_row = (unsigned short)strtoul(step->argv[2].text, NULL, 10)};
  if (size.ws_col && ioctl(slave, TIOCSWINSZ, &size) < 0) return fail(failure, errno, "set terminal size");
  if (fchown(slave, (uid_t)strtoul(step->argv[3].text, NULL, 10), (gid_t)-1) < 0) return fail(failure, errno, "chown pty");
  if (step->argv[4].text[0] == '1') {
    // The pty by its descriptor, onto a file that is no link: what /dev holds may be a volume's.
    int file = open("/dev/console", O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_RDONLY | O_NONBLOCK | O_NOCTTY, 0600);
    if (file >= 0) close(file);
    file = open("/dev/console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat facts;
    if (file < 0 || fstat(file, &facts) < 0) return fail(failure, errno, "open /dev/console");
    if (S_ISLNK(facts.st_mode)) return fail(failure, ELOOP, "/dev/console");
    if (bind_over(slave, "", AT_EMPTY_PATH, file, 0) < 0) return fail(failure, errno, "bind the terminal on /dev/console");
    close(file);
  }
  if (!sync_send(context->sync, SYNC_MASTER, NULL, 0, master)) return fail(failure, errno, "pass the pty");
  close(master);
  context->stdio[0] = context->stdio[1] = context->stdio[2] = slave;
  return 0;
}

// stdio UID: a session of its own, and 0, 1, 2 from the session's pipes, its pty or /dev/null.
int step_stdio(struct context *context, const struct step *step, struct failure *failure) {
  uid_t uid = (uid_t)strtoul(step->argv[1].text, NULL, 10);
  setsid();
  bool terminal = context->stdio[0] >= 0 && isatty(context->stdio[0]);
  if (terminal && ioctl(context->stdio[0], TIOCSCTTY, 0) < 0) return fail(failure, errno, "take the terminal");
  for (int fd = 0; fd < 3; fd++) {
    int from = context->stdio[fd];
    if (from < 0) {
      from = open("/dev/null", O_RDWR | O_CLOEXEC);
      if (from < 0) return fail(failure, errno, "open /dev/null");
    } else if (!terminal && fchown(from, uid, (gid_t)-1) < 0) {
      return fail(failure, errno, "chown standard stream %d", fd);
    }
    if (dup2(from, fd) < 0) return fail(failure, errno, "dup2 to %d", fd);
    // A descriptor that already had the right number keeps its close-on-exec flag through dup2.
    fcntl(fd, F_SETFD, 0);
  }
  return 0;
}

static void close_all(struct context *context) {
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  // Everything but the standard streams and the sync socket goes; that one closes itself on exec.
  if (context->sync > 3) syscall(SYS_close_range, 3, context->sync - 1, 0);
  syscall(SYS_close_range, context->sync + 1 > 3 ? context->sync + 1 : 3, ~0u, 0);
}

// exec PATH_VARIABLE ENV_COUNT ENV... ARGV...; messages are the ones users know from other runtimes.
int step_exec(struct context *context, const struct step *step, struct failure *failure) {
  uint32_t environment = (uint32_t)strtoul(step->argv[2].text, NULL, 10);
  if (environment + 3 >= step->argc) return fail(failure, EINVAL, "exec without arguments");
  char **list = calloc(step->argc + 2, sizeof *list);
  for (uint32_t i = 0; i < environment; i++) list[i] = (char *)step->argv[3 + i].text;
  char **argv = list + environment + 1;
  uint32_t count = step->argc - 3 - environment;
  for (uint32_t i = 0; i < count; i++) argv[i] = (char *)step->argv[3 + environment + i].text;
  close_all(context);
  umask(022);
  const char *name = argv[0];
  if (strchr(name, '/')) {
    execve(name, argv, list);
    int error = errno;
    struct stat facts;
    if (error == ENOENT && stat(name, &facts) < 0) return fail(failure, 0, "exec: \"%.300s\": stat %.300s: no such file or directory", name, name), failure->error = ENOENT, -1;
    return fail(failure, error, "exec %.300s", name);
  }
  int denied = 0;
  for (const char *at = step->argv[1].text; *name && *at;) {
    size_t length = strcspn(at, ":");
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%.*s/%s", (int)length, at, name) < sizeof path && length > 0) {
      execve(path, argv, list);
      if (errno == EACCES || errno == EISDIR) denied = EACCES;
      else if (errno != ENOENT && errno != ENOTDIR) return fail(failure, errno, "exec %.300s", path);
    }
    at += length;
    if (*at == ':') at++;
  }
  if (denied) return fail(failure, 0, "exec: \"%.300s\": permission denied", name), failure->error = EACCES, -1;
  fail(failure, 0, "exec: \"%.300s\": executable file not found in $PATH", name);
  failure->error = ENOENT;
  return -1;
}

// pause: holds a pid namespace and reaps what is orphaned in it, until it is killed.
int step_pause(struct context *context, const struct step *step, struct failure *failure) {
  (void)step, (void)failure;
  sync_send(context->sync, SYNC_READY, NULL, 0, -1);
  prctl(PR_SET_NAME, "pause");
  set_title("pause");
  syscall(SYS_close_range, 0, ~0u, 0);
  signal(SIGCHLD, SIG_DFL);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  sigprocmask(SIG_BLOCK, &wanted, NULL);
  for (;;) {
    int number;
    if (sigwait(&wanted, &number) == 0 && number != SIGCHLD) _exit(0);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
  }
}
