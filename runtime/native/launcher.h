// What the files of the launcher share. The program has no policy: it executes plans, ordered lists of primitive steps
// that were decided in TypeScript (runtime/launch). Everything it must remember is on disk.
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROTOCOL "5"
#define MAX_MESSAGE (8u << 20)
#define MAX_TREES 256

// ---- wire.c: u32 length, then steps: u32 argc, then per argument u32 length, bytes, NUL. All little-endian.
struct arg {
  const char *text;  // always NUL-terminated; may hold NULs inside when it is binary
  uint32_t length;
};
struct step {
  uint32_t argc;
  struct arg *argv;
};
struct plan {
  uint32_t count;
  struct step *steps;
  char *bytes;
};
int plan_parse(char *bytes, uint32_t length, struct plan *plan);  // 0, or -1 when malformed
int plan_read(int fd, struct plan *plan);                        // reads one message; -1 on malformed or closed
void plan_free(struct plan *plan);
bool read_all(int fd, void *into, size_t length);
bool write_all(int fd, const void *from, size_t length);

struct reply {
  size_t length;
  char bytes[16384];
};
void reply_add(struct reply *reply, int argc, const char *const *argv);
bool reply_send(int fd, struct reply *reply);

// ---- failures: where a plan stopped
struct failure {
  int32_t step;
  int32_t error;  // errno; 0 when it is not a system call that failed
  char message[400];
};
int fail(struct failure *failure, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

// ---- session.c: the process that stays with a container (shim) or an exec
struct session {
  bool is_exec, terminal, stdin_open, stdin_once, kill_rest;
  uint16_t width, height;
  const char *id, *directory, *socket, *log_path, *oom_file, *kill_file;
  const char *const *procs_files;  // v1: where to find what is left, when there is no cgroup.kill
  int client;                      // exec: the connection that asked
  // kept by the session
  int out[2], err[2], in[2];       // pipes; [0] is read, [1] written
  int master;
  pid_t pid;
  int pidfd;
  int sync;
};

// ---- steps.c
struct context {
  struct reply *reply;
  int client;       // the connection of the request, or -1 in a child
  int lock;         // shared lock of the state directory while a plan runs
  int listen;
  int netlink_host; // a netlink socket in the namespace we started in
  int trees[MAX_TREES];
  int root;         // the container's root, before and after pivot
  int sync;         // child's end of the socket to its parent, or -1
  bool in_child;
  bool tracing;     // each step is told as it is done, with its time
  int stdio[3];     // what the child will have as 0, 1, 2
  bool has_session;
  struct session session;
  const struct plan *plan;
  uint32_t at;
};
int run_steps(struct context *context, const struct plan *plan, uint32_t from, struct failure *failure);
int path_write(const char *path, const void *data, size_t length);

// one function per step; file.c mount.c netlink.c process.c spawn.c user.c
typedef int step_function(struct context *, const struct step *, struct failure *);
step_function step_mkdir, step_write, step_try_write, step_umount, step_rmdir, step_kill, step_bind_namespace,
    step_host_tmpfs, step_unlink;
step_function step_tree, step_private, step_overlay, step_mount, step_attach, step_mknod, step_symlink, step_mask,
    step_readonly, step_pivot, step_root_readonly, step_root_tmpfs, step_root_mkdir;
step_function step_netlink, step_bridge, step_veth, step_address, step_up, step_default_route, step_link_delete,
    step_mtu;
step_function step_unshare, step_setns, step_hostname, step_rlimit, step_oom, step_cwd, step_user, step_bounding,
    step_caps, step_no_new_privs, step_seccomp, step_stdio, step_terminal, step_exec, step_pause, step_device_filter;
step_function step_session, step_clone, step_enter, step_joined, step_wait_start, step_warm;
step_function step_dial, step_quiesce;
step_function step_user_namespace, step_enter_user, step_overlay_tree, step_device_tmpfs, step_root, step_own_streams,
    step_sysctl, step_probe_idmap, step_trace, step_seal, step_die;

// ---- user.c, mount.c
int become_namespace_root(struct failure *failure);
int idmap_tree(int tree, const char *userns, const char *what, struct failure *failure);
// Mounts an overlay of `paths`: upper and work (empty when read-only), then `layers` lower directories, topmost first.
int mount_overlay(const char *target, const struct arg *paths, uint32_t layers, struct failure *failure);
int bind_over(int source, const char *source_path, unsigned flags, int target, uint64_t attributes);  // mount.c

// ---- the socket between a child and its parent: one byte of kind, then a payload
enum sync_kind { SYNC_ERROR = 'e', SYNC_READY = 'r', SYNC_JOINED = 'j', SYNC_GO = 'g', SYNC_MASTER = 'm', SYNC_PID = 'p', SYNC_TRACE = 't' };
struct traced {
  uint32_t at;
  int64_t ns;
};
void trace(struct context *context, struct traced traced);
bool sync_send(int fd, char kind, const void *payload, size_t length, int pass_fd);
ssize_t sync_receive(int fd, char *kind, void *payload, size_t size, int *passed_fd);
uint64_t start_ticks(pid_t pid);  // field 22 of /proc/pid/stat, 0 when gone

// ---- main.c, serve.c, shim.c, log.c
void set_title(const char *format, ...) __attribute__((format(printf, 1, 2)));
int serve(const char *socket_path, const char *state_directory);
void session_run(struct context *context, struct session *session) __attribute__((noreturn));
int session_prepare(struct session *session, struct failure *failure);

struct log;
struct log *log_open(const char *path);
int log_reopen(struct log *log);
void log_write(struct log *log, int stream, const char *bytes, size_t length);
void log_flush(struct log *log);
int64_t now_ns(void);
