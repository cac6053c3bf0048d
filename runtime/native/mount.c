// Steps that build the container's file tree. Paths inside the container are resolved with openat2(RESOLVE_IN_ROOT), so
// that no symbolic link of an image leads out of it.
#include "launcher.h"
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

// <sys/mount.h> and <linux/mount.h> cannot be included together.
#define MNT_DETACH 2
int mount(const char *, const char *, const char *, unsigned long, const void *);
int umount2(const char *, int);

static int in_root(int root, const char *path, uint64_t flags) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  return (int)syscall(SYS_openat2, root, *path ? path : "/", &how, sizeof how);
}

// Opens `path` below the root, making what is missing: directories, and at the end a directory or an empty file.
static int make_in_root(int root, const char *path, bool is_directory, mode_t mode, int depth) {
  int fd = in_root(root, path, O_PATH);
  if (fd >= 0 || errno != ENOENT) return fd;
  if (depth > 40) return errno = ELOOP, -1;
  int parent = in_root(root, "/", O_PATH | O_DIRECTORY);
  size_t length = strlen(path);
  for (size_t at = 0; parent >= 0 && at < length;) {
    while (at < length && path[at] == '/') at++;
    if (at == length) break;
    size_t end = at;
    while (end < length && path[end] != '/') end++;
    size_t rest = end;
    while (rest < length && path[rest] == '/') rest++;
    bool last = rest == length;
    char prefix[4096], name[256];
    if (end >= sizeof prefix || end - at >= sizeof name) return close(parent), errno = ENAMETOOLONG, -1;
    memcpy(prefix, path, end), prefix[end] = 0;
    memcpy(name, path + at, end - at), name[end - at] = 0;
    int next = in_root(root, prefix, O_PATH);
    if (next < 0 && errno == ENOENT) {
      int made = last && !is_directory ? openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, mode & 0666)
                                       : mkdirat(parent, name, last ? mode : 0755);
      if (made < 0 && errno != EEXIST) {
        close(parent);
        return -1;
      }
      if (made > 0) close(made);
      if (made < 0) {
        // Something is there that leads nowhere: a dangling link. Make what it points to, still below the root.
        char link[2048], joined[8192];
        ssize_t size = readlinkat(parent, name, link, sizeof link - 1);
        if (size <= 0) return close(parent), errno = EEXIST, -1;
        link[size] = 0;
        char before[4096];
        memcpy(before, path, at), before[at] = 0;
        if ((size_t)snprintf(joined, sizeof joined, "%s/%s%s", link[0] == '/' ? "" : before, link, path + end) >= sizeof joined)
          return close(parent), errno = ENAMETOOLONG, -1;
        close(parent);
        return make_in_root(root, joined, is_directory, mode, depth + 1);
      }
      next = in_root(root, prefix, O_PATH);
    }
    if (next < 0) {
      close(parent);
      return -1;
    }
    close(parent);
    parent = next;
    at = end;
  }
  return parent;
}

static int slot(const struct step *step, struct failure *failure) {
  unsigned long at = strtoul(step->argv[1].text, NULL, 10);
  if (at >= MAX_TREES) return fail(failure, E2BIG, "more than %d mounts", MAX_TREES);
  return (int)at;
}

// tree SLOT SOURCE RECURSIVE [USERNS]: a detached copy of a host's mount, taken while the host's tree is still in view; with
// USERNS it shows its files as that namespace's.
int step_tree(struct context *context, const struct step *step, struct failure *failure) {
  int at = slot(step, failure);
  if (at < 0) return -1;
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (step->argv[3].text[0] == '1' ? AT_RECURSIVE : 0);
  int fd = (int)syscall(SYS_open_tree, AT_FDCWD, step->argv[2].text, flags);
  if (fd < 0) return fail(failure, errno, "open_tree %s", step->argv[2].text);
  context->trees[at] = fd;
  return step->argc > 4 ? idmap_tree(fd, step->argv[4].text, step->argv[2].text, failure) : 0;
}

int step_private(struct context *context, const struct step *step, struct failure *failure) {
  (void)context, (void)step;
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return fail(failure, errno, "make / private");
  return 0;
}

// What overlayfs takes (fs/overlayfs/ovl_entry.h: OVL_MAX_STACK).
enum { MAX_LAYERS = 500 };

// Lower directories are named by descriptor numbers (one page of options holds 500 of them), which also hides the host's
// paths from the container. Always volatile: what a container wrote does not outlive a crash of the host.
int mount_overlay(const char *target, const struct arg *paths, uint32_t layers, struct failure *failure) {
  char options[4096];
  size_t used = (size_t)snprintf(options, sizeof options, "lowerdir=");
  // Not one range: what is open already may lie between two of them.
  int open_layers[MAX_LAYERS];
  for (uint32_t i = 0; i < layers; i++) {
    const char *layer = paths[2 + i].text;
    if (i == MAX_LAYERS || used > sizeof options - 200) return fail(failure, E2BIG, "too many layers");
    open_layers[i] = open(layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (open_layers[i] < 0) return fail(failure, errno, "open layer %s", layer);
    used += (size_t)snprintf(options + used, sizeof options - used, i > 0 ? ":%d" : "%d", open_layers[i]);
  }
  int upper = -1, work = -1;
  if (paths[0].length > 0) {
    upper = open(paths[0].text, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (upper < 0) return fail(failure, errno, "open %s", paths[0].text);
    work = open(paths[1].text, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (work < 0) return fail(failure, errno, "open %s", paths[1].text);
    // A volatile overlay leaves a marker that forbids the next mount; the directory is ours again, so take it away.
    unlinkat(work, "work/incompat/volatile/dirty", 0);
    unlinkat(work, "work/incompat/volatile", AT_REMOVEDIR);
    unlinkat(work, "work/incompat", AT_REMOVEDIR);
    snprintf(options + used, sizeof options - used, ",upperdir=%d,workdir=%d,volatile", upper, work);
  }
  if (chdir("/proc/self/fd") < 0) return fail(failure, errno, "chdir /proc/self/fd");
  int result = mount("overlay", target, "overlay", 0, options);
  int error = errno;
  if (chdir("/") < 0) return fail(failure, errno, "chdir /");
  if (result < 0) return fail(failure, error, "mount overlay on %s", target);
  for (uint32_t i = 0; i < layers; i++) close(open_layers[i]);
  if (upper >= 0) close(upper);
  if (work >= 0) close(work);
  return 0;
}

// overlay TARGET UPPER WORK LOWER...
int step_overlay(struct context *context, const struct step *step, struct failure *failure) {
  const char *target = step->argv[1].text;
  if (mount_overlay(target, step->argv + 2, step->argc - 4, failure) < 0) return -1;
  context->root = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return context->root < 0 ? fail(failure, errno, "open %s", target) : 0;
}

// root-tmpfs TARGET: an empty root, for the pause process.
int step_root_tmpfs(struct context *context, const struct step *step, struct failure *failure) {
  const char *target = step->argv[1].text;
  if (mount("tmpfs", target, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0,mode=555") < 0)
    return fail(failure, errno, "mount tmpfs on %s", target);
  context->root = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return context->root < 0 ? fail(failure, errno, "open %s", target) : 0;
}

static int need_root(struct context *context, struct failure *failure) {
  return context->root < 0 ? fail(failure, EINVAL, "no root file system yet") : 0;
}

static unsigned long flags_of(const char *text) {
  static const struct {
    const char *name;
    unsigned long flag;
  } known[] = {{"ro", MS_RDONLY}, {"nosuid", MS_NOSUID}, {"nodev", MS_NODEV}, {"noexec", MS_NOEXEC}, {"relatime", 1 << 21}, {"noatime", 1024}, {"strictatime", 1 << 24}};
  unsigned long flags = 0;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    const char *found = strstr(text, known[i].name);
    size_t length = strlen(known[i].name);
    if (found && (found == text || found[-1] == ',') && (found[length] == 0 || found[length] == ',')) flags |= known[i].flag;
  }
  return flags;
}

static bool is_link(int root, const char *path) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS};
  int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
  if (fd >= 0) close(fd);
  return fd < 0 && errno == ELOOP;
}

// Inside /proc only files may be covered that tell a container how large it is; anything else would make what reads and
// writes there (also this launcher, for an exec) see what a volume holds instead. Same list as runc's checkProcMount.
static bool may_cover_proc(int target, const char *path) {
  static const char *const known[] = {"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime", "/proc/loadavg", "/proc/slabinfo", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled"};
  struct statfs facts;
  if (fstatfs(target, &facts) < 0 || facts.f_type != 0x9fa0 /* PROC_SUPER_MAGIC */) return true;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(path, known[i]) == 0) return true;
  return false;
}

// mount TYPE SOURCE TARGET FLAGS DATA: a virtual file system inside the root. /proc and /sys are never mounted through a
// link of the image: what is masked in them by name later would not be what was mounted.
int step_mount(struct context *context, const struct step *step, struct failure *failure) {
  if (need_root(context, failure) < 0) return -1;
  const char *type = step->argv[1].text, *source = step->argv[2].text, *target = step->argv[3].text, *data = step->argv[5].text;
  if ((strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0) && is_link(context->root, target))
    return fail(failure, 0, "filesystem \"%s\" must be mounted on ordinary directory", target), failure->error = ENOTDIR, -1;
  int fd = make_in_root(context->root, target, true, 0755, 0);
  if (fd < 0) return fail(failure, errno, "make mount point %s", target);
  if (!may_cover_proc(fd, target)) {
    close(fd);
    return fail(failure, 0, "\"%s\" cannot be mounted because it is inside /proc", target), failure->error = EINVAL, -1;
  }
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int result = mount(source, path, type, flags_of(step->argv[4].text), *data ? data : NULL);
  int error = errno;
  close(fd);
  return result < 0 ? fail(failure, error, "mount %s on %s", type, target) : 0;
}

// attach SLOT TARGET FLAGS PROPAGATION: puts a tree of the host at its place, with `ro`, `rro`, nosuid, nodev, noexec.
int step_attach(struct context *context, const struct step *step, struct failure *failure) {
  int at = slot(step, failure);
  if (at < 0 || need_root(context, failure) < 0) return -1;
  int tree = context->trees[at];
  const char *target = step->argv[2].text, *flags = step->argv[3].text, *propagation = step->argv[4].text;
  struct stat facts;
  if (tree < 0 || fstat(tree, &facts) < 0) return fail(failure, EBADF, "no tree in slot %d", at);
  int fd = make_in_root(context->root, target, S_ISDIR(facts.st_mode), 0755, 0);
  if (fd < 0) return fail(failure, errno, "make mount point %s", target);
  struct statfs source;
  bool is_proc = fstatfs(tree, &source) == 0 && source.f_type == 0x9fa0 && strcmp(target, "/proc") == 0;
  if (!is_proc && !may_cover_proc(fd, target)) {
    close(fd);
    return fail(failure, 0, "\"%s\" cannot be mounted because it is inside /proc", target), failure->error = EINVAL, -1;
  }
  struct mount_attr how = {0};
  unsigned long wanted = flags_of(flags);
  if (wanted & MS_RDONLY) how.attr_set |= MOUNT_ATTR_RDONLY;
  if (wanted & MS_NOSUID) how.attr_set |= MOUNT_ATTR_NOSUID;
  if (wanted & MS_NODEV) how.attr_set |= MOUNT_ATTR_NODEV;
  if (wanted & MS_NOEXEC) how.attr_set |= MOUNT_ATTR_NOEXEC;
  if (how.attr_set && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &how, sizeof how) < 0)
    return fail(failure, errno, "mount_setattr %s on %s", flags, target);
  struct mount_attr all = {0};
  if (strncmp(flags, "rro", 3) == 0) all.attr_set = MOUNT_ATTR_RDONLY;
  all.propagation = strcmp(propagation, "slave") == 0 ? MS_SLAVE : strcmp(propagation, "private") == 0 ? MS_PRIVATE : 0;
  if ((all.attr_set || all.propagation) && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &all, sizeof all) < 0)
    return fail(failure, errno, "mount_setattr %s %s on %s", flags, propagation, target);
  if (syscall(SYS_move_mount, tree, "", fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
    return fail(failure, errno, "move_mount to %s", target);
  close(fd);
  close(tree);
  context->trees[at] = -1;
  return 0;
}

static int parent_of(int root, const char *path, const char **name) {
  char directory[4096];
  const char *slash = strrchr(path, '/');
  if (!slash || !slash[1] || (size_t)(slash - path) >= sizeof directory) return errno = EINVAL, -1;
  memcpy(directory, path, (size_t)(slash - path));
  directory[slash - path] = 0;
  *name = slash + 1;
  return make_in_root(root, directory, true, 0755, 0);
}

// mknod PATH TYPE MAJOR MINOR MODE UID GID
int step_mknod(struct context *context, const struct step *step, struct failure *failure) {
  if (need_root(context, failure) < 0) return -1;
  const char *path = step->argv[1].text, *name = NULL;
  unsigned number[5];
  for (int i = 0; i < 5; i++) number[i] = (unsigned)strtoul(step->argv[3 + i].text, NULL, i == 2 ? 8 : 10);
  mode_t type = step->argv[2].text[0] == 'b' ? S_IFBLK : S_IFCHR;
  int parent = parent_of(context->root, path, &name);
  if (parent < 0) return fail(failure, errno, "open directory of %s", path);
  unlinkat(parent, name, 0);  // what was asked for wins over the default of the same name
  if (mknodat(parent, name, type | 0600, makedev(number[0], number[1])) < 0) return fail(failure, errno, "mknod %s", path);
  if (fchownat(parent, name, number[3], number[4], AT_SYMLINK_NOFOLLOW) < 0 || fchmodat(parent, name, number[2], 0) < 0)
    return fail(failure, errno, "chmod %s", path);
  close(parent);
  return 0;
}

int step_symlink(struct context *context, const struct step *step, struct failure *failure) {
  if (need_root(context, failure) < 0) return -1;
  const char *name;
  int parent = parent_of(context->root, step->argv[2].text, &name);
  if (parent < 0) return fail(failure, errno, "open directory of %s", step->argv[2].text);
  if (symlinkat(step->argv[1].text, parent, name) < 0 && errno != EEXIST) return fail(failure, errno, "symlink %s", step->argv[2].text);
  close(parent);
  return 0;
}

int step_root_mkdir(struct context *context, const struct step *step, struct failure *failure) {
  if (need_root(context, failure) < 0) return -1;
  int fd = make_in_root(context->root, step->argv[1].text, true, (mode_t)strtoul(step->argv[2].text, NULL, 8), 0);
  if (fd < 0) return fail(failure, errno, "mkdir %s", step->argv[1].text);
  close(fd);
  return 0;
}

// A copy of the mount at `source_path` onto the descriptor `target`.
int bind_over(int source, const char *source_path, unsigned flags, int target, uint64_t attributes) {
  int tree = (int)syscall(SYS_open_tree, source, source_path, flags | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) return -1;
  struct mount_attr how = {.attr_set = attributes};
  int result = attributes ? (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &how, sizeof how) : 0;
  if (result == 0) result = (int)syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
  int error = errno;
  close(tree);
  errno = error;
  return result;
}

// mask PATH: hides a file behind /dev/null and a directory behind an empty read-only tmpfs.
int step_mask(struct context *context, const struct step *step, struct failure *failure) {
  if (need_root(context, failure) < 0) return -1;
  const char *path = step->argv[1].text;
  int fd = in_root(context->root, path, O_PATH);
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fail(failure, errno, "open %s", path);
  struct stat facts;
  int result = fstat(fd, &facts);
  if (result == 0 && S_ISDIR(facts.st_mode)) {
    char target[64];
    snprintf(target, sizeof target, "/proc/self/fd/%d", fd);
    result = mount("tmpfs", target, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0,mode=555");
  } else if (result == 0) {
    int null = in_root(context->root, "/dev/null", O_PATH);
    if (null < 0 || fstat(null, &facts) < 0 || !S_ISCHR(facts.st_mode) || facts.st_rdev != makedev(1, 3))
      return fail(failure, ENODEV, "/dev/null is not the null device");
    result = bind_over(null, "", AT_EMPTY_PATH, fd, 0);
    close(null);
  }
  int error = errno;
  close(fd);
  return result < 0 ? fail(failure, error, "mask %s", path) : 0;
}

int step_readonly(struct context *context, const struct step *step, struct failure *failure) {
  if (need_root(context, failure) < 0) return -1;
  const char *path = step->argv[1].text;
  int fd = in_root(context->root, path, O_PATH);
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fail(failure, errno, "open %s", path);
  if (bind_over(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, fd, MOUNT_ATTR_RDONLY) < 0) return fail(failure, errno, "make %s read-only", path);
  close(fd);
  return 0;
}

// seal PATH: what is mounted there becomes read-only; what is mounted below stays as it is.
int step_seal(struct context *context, const struct step *step, struct failure *failure) {
  if (need_root(context, failure) < 0) return -1;
  const char *path = step->argv[1].text;
  struct mount_attr how = {.attr_set = MOUNT_ATTR_RDONLY};
  int fd = in_root(context->root, path, O_PATH);
  if (fd < 0 || syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &how, sizeof how) < 0)
    return fail(failure, errno, "make %s read-only", path);
  close(fd);
  return 0;
}

int step_root_readonly(struct context *context, const struct step *step, struct failure *failure) {
  (void)step;
  if (need_root(context, failure) < 0) return -1;
  struct mount_attr how = {.attr_set = MOUNT_ATTR_RDONLY};
  if (syscall(SYS_mount_setattr, context->root, "", AT_EMPTY_PATH, &how, sizeof how) < 0)
    return fail(failure, errno, "make / read-only");
  return 0;
}

int step_pivot(struct context *context, const struct step *step, struct failure *failure) {
  (void)step;
  if (need_root(context, failure) < 0) return -1;
  if (fchdir(context->root) < 0) return fail(failure, errno, "fchdir to the new root");
  if (syscall(SYS_pivot_root, ".", ".") < 0) return fail(failure, errno, "pivot_root");
  if (umount2(".", MNT_DETACH) < 0) return fail(failure, errno, "umount the old root");
  if (chdir("/") < 0) return fail(failure, errno, "chdir /");
  return 0;
}
