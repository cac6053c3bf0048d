// Steps of pods with a user namespace of their own. What only the host's root may do (overlay, id-mapped copies, device
// nodes, limits) is done outside and carried inside as detached mounts; the rest happens inside, as the namespace's root.
#include "launcher.h"
#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// <sched.h> and <linux/sched.h>, <sys/mount.h> and <linux/mount.h> do not go together.
int mount(const char *, const char *, const char *, unsigned long, const void *);
int setns(int, int);
int unshare(int);

static const struct {
  const char *name;
  uint64_t flag;
} known[] = {{"net", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS}, {"mnt", CLONE_NEWNS}, {"pid", CLONE_NEWPID}};

static uint64_t flags_of(const char *names) {
  uint64_t flags = 0;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strstr(names, known[i].name)) flags |= known[i].flag;
  return flags;
}

// After joining a user namespace a process still has the host's ids, which mean nothing there.
int become_namespace_root(struct failure *failure) {
  if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
    return fail(failure, errno, "become root of the user namespace");
  return 0;
}

// A process that only holds new namespaces until it is killed, its user namespace mapped as asked.
static pid_t holder(uint64_t flags, const struct arg *uids, const struct arg *gids, struct failure *failure) {
  struct clone_args args = {.flags = flags | CLONE_NEWUSER, .exit_signal = SIGCHLD};
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return fail(failure, errno, "clone3 with a user namespace");
  if (pid == 0)
    for (;;) pause();
  const struct {
    const char *name;
    const struct arg *map;
  } maps[] = {{"uid_map", uids}, {"gid_map", gids}};
  for (int i = 0; i < 2; i++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, maps[i].name);
    if (path_write(path, maps[i].map->text, maps[i].map->length) == 0) continue;
    fail(failure, errno, "write %.100s to %s", maps[i].map->text, maps[i].name);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return -1;
  }
  return pid;
}

// user-namespace TARGET UID_MAP GID_MAP NAMES: a user namespace, bound to TARGET, and namespaces that it owns, which this
// process joins. We stay the host's root.
int step_user_namespace(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  const char *target = step->argv[1].text;
  uint64_t flags = flags_of(step->argv[4].text);
  int file = open(target, O_CREAT | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return fail(failure, errno, "create %s", target);
  close(file);
  pid_t pid = holder(flags, &step->argv[2], &step->argv[3], failure);
  if (pid < 0) return -1;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
  int result = mount(path, target, NULL, MS_BIND, NULL);
  // Never propagate: a copy in another mount namespace would keep the namespace alive.
  if (result == 0) result = mount(NULL, target, NULL, MS_PRIVATE, NULL);
  if (result < 0) fail(failure, errno, "bind the user namespace on %s", target);
  int pidfd = result < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
  if (result == 0 && (pidfd < 0 || (flags && setns(pidfd, (int)flags) < 0)))
    result = fail(failure, errno, "join %s", step->argv[4].text);
  if (pidfd >= 0) close(pidfd);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  return result < 0 ? -1 : 0;
}

// enter-user USERNS NAMES: the rest of the plan runs in a child that is root of the user namespace and whose new
// namespaces it owns; our parent becomes its parent.
int step_enter_user(struct context *context, const struct step *step, struct failure *failure) {
  int fd = open(step->argv[1].text, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(failure, errno, "open user namespace %s", step->argv[1].text);
  if (setns(fd, CLONE_NEWUSER) < 0) return fail(failure, errno, "join user namespace %s", step->argv[1].text);
  close(fd);
  if (become_namespace_root(failure) < 0) return -1;
  struct clone_args args = {.flags = flags_of(step->argv[2].text) | CLONE_PARENT};
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return fail(failure, errno, "clone3 %s in the user namespace", step->argv[2].text);
  if (pid == 0) return 0;
  int32_t number = pid;
  sync_send(context->sync, SYNC_PID, &number, sizeof number, -1);
  _exit(0);
}

// idmap TREE through USERNS, this mount only. The file system has to know how.
int idmap_tree(int tree, const char *userns, const char *what, struct failure *failure) {
  int fd = open(userns, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(failure, errno, "open user namespace %s", userns);
  struct mount_attr how = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)fd};
  int result = (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &how, sizeof how);
  int error = errno;
  close(fd);
  return result < 0 ? fail(failure, error, "the file system of %s cannot be id-mapped", what) : 0;
}

// Takes SLOT USERNS DIRECTORY UPPER WORK SUB_PATH LOWER...; no UPPER makes it read-only.
static int build_overlay(const struct step *step, struct failure *failure) {
  const char *userns = step->argv[2].text, *directory = step->argv[3].text, *sub_path = step->argv[6].text;
  bool writable = step->argv[4].length > 0;
  struct arg *names = calloc(step->argc + 1, sizeof *names);
  uint32_t layers = step->argc - 7;
  // The layers are mounted for as long as it takes to put them together, where nobody else sees them.
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
    return fail(failure, errno, "unshare mnt");
  int trees[512];
  if (layers > 500) return fail(failure, E2BIG, "too many layers");
  for (uint32_t i = 0; i < layers; i++) {
    const char *layer = step->argv[7 + i].text;
    trees[i] = (int)syscall(SYS_open_tree, AT_FDCWD, layer, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (trees[i] < 0) return fail(failure, errno, "open layer %s", layer);
    if (*userns && idmap_tree(trees[i], userns, layer, failure) < 0) return -1;
  }
  for (int i = 0; i < 2; i++) names[i] = step->argv[4 + i];
  if (mount("tmpfs", directory, "tmpfs", MS_NOSUID, "size=1m,mode=700") < 0) return fail(failure, errno, "mount tmpfs on %s", directory);
  for (uint32_t i = 0; i < layers; i++) {
    char *place;
    if (asprintf(&place, "%s/%u", directory, i) < 0) abort();
    if (mkdir(place, 0700) < 0 || syscall(SYS_move_mount, trees[i], "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
      return fail(failure, errno, "move_mount to %s", place);
    names[2 + i] = (struct arg){place, (uint32_t)strlen(place)};
  }
  char *root;
  if (asprintf(&root, "%s/root", directory) < 0) abort();
  if (mkdir(root, 0700) < 0) return fail(failure, errno, "mkdir %s", root);
  if (!writable) {
    // Overlayfs wants two directories where none is written to, and hides whiteouts only then.
    char *empty;
    if (asprintf(&empty, "%s/empty", directory) < 0) abort();
    if (mkdir(empty, 0755) < 0) return fail(failure, errno, "mkdir %s", empty);
    names[2 + layers++] = (struct arg){empty, (uint32_t)strlen(empty)};
  }
  if (mount_overlay(root, names, layers, failure) < 0) return -1;
  int at = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), wanted = at;
  if (*sub_path) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    wanted = (int)syscall(SYS_openat2, at, sub_path, &how, sizeof how);
    if (wanted < 0) return fail(failure, errno, "open %s in the image", sub_path);
  }
  int tree = (int)syscall(SYS_open_tree, wanted, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  return tree < 0 ? fail(failure, errno, "open_tree %s", root) : tree;
}

// overlay-tree SLOT USERNS DIRECTORY UPPER WORK SUB_PATH LOWER...: an overlay, or what is at SUB_PATH in it, detached. With
// USERNS its layers show their files as that namespace's; UPPER belongs to its root already, or is empty for a read-only
// tree. DIRECTORY is only used out of sight.
int step_overlay_tree(struct context *context, const struct step *step, struct failure *failure) {
  unsigned long at = strtoul(step->argv[1].text, NULL, 10);
  if (at >= MAX_TREES) return fail(failure, E2BIG, "more than %d mounts", MAX_TREES);
  int sync[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) < 0) return fail(failure, errno, "socketpair");
  pid_t pid = fork();
  if (pid < 0) return fail(failure, errno, "fork");
  if (pid == 0) {
    struct failure told = {.step = failure->step};
    int tree = build_overlay(step, &told);
    if (tree >= 0) sync_send(sync[1], SYNC_MASTER, NULL, 0, tree);
    else sync_send(sync[1], SYNC_ERROR, &told, sizeof told, -1);
    _exit(0);
  }
  close(sync[1]);
  char kind = 0;
  struct failure told;
  int tree = -1;
  ssize_t got = sync_receive(sync[0], &kind, &told, sizeof told, &tree);
  close(sync[0]);
  waitpid(pid, NULL, 0);
  if (got == sizeof told && kind == SYNC_ERROR) {
    *failure = told;
    failure->message[sizeof failure->message - 1] = 0;
    return -1;
  }
  if (tree < 0) return fail(failure, ECHILD, "the overlay's maker ended");
  context->trees[at] = tree;
  return 0;
}

// device-tmpfs SLOT UID GID: a detached tmpfs for /dev that belongs to UID and GID; until `root` it takes device nodes,
// which a user namespace may not make itself.
int step_device_tmpfs(struct context *context, const struct step *step, struct failure *failure) {
  unsigned long at = strtoul(step->argv[1].text, NULL, 10);
  if (at >= MAX_TREES) return fail(failure, E2BIG, "more than %d mounts", MAX_TREES);
  const char *settings[][2] = {{"mode", "755"}, {"size", "65536k"}, {"uid", step->argv[2].text}, {"gid", step->argv[3].text}};
  int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  int result = fs < 0 ? -1 : 0;
  for (size_t i = 0; result == 0 && i < sizeof settings / sizeof *settings; i++)
    result = (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, settings[i][0], settings[i][1], 0);
  if (result == 0) result = (int)syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
  int tree = result < 0 ? -1 : (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME);
  int error = errno;
  if (fs >= 0) close(fs);
  if (tree < 0) return fail(failure, error, "make a tmpfs for devices");
  context->trees[at] = tree;
  context->root = tree;
  return 0;
}

// root SLOT TARGET: a detached tree becomes the root to be, mounted over TARGET, which every user can reach.
int step_root(struct context *context, const struct step *step, struct failure *failure) {
  unsigned long at = strtoul(step->argv[1].text, NULL, 10);
  const char *target = step->argv[2].text;
  if (at >= MAX_TREES || context->trees[at] < 0) return fail(failure, EBADF, "no tree in slot %lu", at);
  if (syscall(SYS_move_mount, context->trees[at], "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
    return fail(failure, errno, "move_mount the root to %s", target);
  close(context->trees[at]);
  context->trees[at] = -1;
  context->root = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return context->root < 0 ? fail(failure, errno, "open %s", target) : 0;
}

// own-streams UID GID: the session's pipes belong to the process that will have them; inside nobody could give them away.
int step_own_streams(struct context *context, const struct step *step, struct failure *failure) {
  uid_t uid = (uid_t)strtoul(step->argv[1].text, NULL, 10);
  gid_t gid = (gid_t)strtoul(step->argv[2].text, NULL, 10);
  int ends[] = {context->session.in[0], context->session.out[1], context->session.err[1]};
  for (int i = 0; i < 3; i++)
    if (ends[i] >= 0 && fchown(ends[i], uid, gid) < 0) return fail(failure, errno, "chown standard stream %d", i);
  return 0;
}

// sysctl PATH VALUE UID: some belong to the namespace's root alone, whom we become for the attempt.
int step_sysctl(struct context *context, const struct step *step, struct failure *failure) {
  (void)context;
  const struct arg *value = &step->argv[2];
  if (path_write(step->argv[1].text, value->text, value->length) == 0) return 0;
  int error = errno;
  if ((error == EACCES || error == EPERM) && seteuid((uid_t)strtoul(step->argv[3].text, NULL, 10)) == 0) {
    error = path_write(step->argv[1].text, value->text, value->length) < 0 ? errno : 0;
    if (seteuid(0) < 0) return fail(failure, errno, "become root again");
  }
  return error ? fail(failure, error, "write %.80s to %s", value->text, step->argv[1].text) : 0;
}

// probe-idmap DIRECTORY: answers `idmap yes`, or `idmap` and why not.
int step_probe_idmap(struct context *context, const struct step *step, struct failure *failure) {
  static const struct arg map = {"0 100000 65536\n", 15};
  struct failure why = {0};
  pid_t pid = holder(0, &map, &map, &why);
  int tree = -1;
  if (pid > 0) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    tree = (int)syscall(SYS_open_tree, AT_FDCWD, step->argv[1].text, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0) fail(&why, errno, "open_tree %s", step->argv[1].text);
    else idmap_tree(tree, path, step->argv[1].text, &why);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
  }
  if (tree >= 0) close(tree);
  (void)failure;
  reply_add(context->reply, 2, (const char *[]){"idmap", why.message[0] ? why.message : "yes"});
  return 0;
}
