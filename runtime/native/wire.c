// Reading requests and writing answers. Every length is checked against what is there before it is used.
#include "launcher.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool read_all(int fd, void *into, size_t length) {
  char *at = into;
  while (length > 0) {
    ssize_t got = read(fd, at, length);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    length -= (size_t)got;
  }
  return true;
}

bool write_all(int fd, const void *from, size_t length) {
  const char *at = from;
  while (length > 0) {
    ssize_t put = write(fd, at, length);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += put;
    length -= (size_t)put;
  }
  return true;
}

static bool take_u32(const char *bytes, uint32_t length, uint32_t *at, uint32_t *value) {
  if (length - *at < 4) return false;
  memcpy(value, bytes + *at, 4);
  *at += 4;
  return true;
}

// Walks the message; with `plan` NULL it only checks and counts.
static int walk(char *bytes, uint32_t length, struct plan *plan, struct arg *args, uint32_t *steps, uint32_t *arguments) {
  uint32_t at = 0;
  *steps = *arguments = 0;
  while (at < length) {
    uint32_t argc;
    if (!take_u32(bytes, length, &at, &argc) || argc == 0 || argc > 65536) return -1;
    if (plan) plan->steps[*steps] = (struct step){.argc = argc, .argv = args + *arguments};
    for (uint32_t i = 0; i < argc; i++) {
      uint32_t size;
      if (!take_u32(bytes, length, &at, &size)) return -1;
      if (size >= length - at || bytes[at + size] != 0) return -1;
      if (plan) args[*arguments] = (struct arg){.text = bytes + at, .length = size};
      at += size + 1;
      (*arguments)++;
    }
    (*steps)++;
  }
  return *steps == 0 ? -1 : 0;
}

int plan_parse(char *bytes, uint32_t length, struct plan *plan) {
  uint32_t steps, arguments;
  *plan = (struct plan){.bytes = bytes};
  if (walk(bytes, length, NULL, NULL, &steps, &arguments) < 0) return -1;
  plan->steps = calloc(steps, sizeof *plan->steps + 0);
  struct arg *args = calloc(arguments, sizeof *args);
  if (!plan->steps || !args) {
    free(plan->steps);
    free(args);
    return -1;
  }
  plan->count = steps;
  return walk(bytes, length, plan, args, &steps, &arguments);
}

int plan_read(int fd, struct plan *plan) {
  uint32_t length;
  if (!read_all(fd, &length, 4) || length == 0 || length > MAX_MESSAGE) return -1;
  char *bytes = malloc(length);
  if (!bytes) return -1;
  if (!read_all(fd, bytes, length) || plan_parse(bytes, length, plan) < 0) {
    free(bytes);
    return -1;
  }
  return 0;
}

void plan_free(struct plan *plan) {
  if (plan->steps) free(plan->steps[0].argv);
  free(plan->steps);
  free(plan->bytes);
}

// Adds one record to the answer; a record that does not fit is left out (answers are short by construction).
void reply_add(struct reply *reply, int argc, const char *const *argv) {
  size_t need = 4;
  for (int i = 0; i < argc; i++) need += 5 + strlen(argv[i]);
  if (reply->length + need > sizeof reply->bytes) return;
  char *at = reply->bytes + reply->length;
  uint32_t value = (uint32_t)argc;
  memcpy(at, &value, 4);
  at += 4;
  for (int i = 0; i < argc; i++) {
    value = (uint32_t)strlen(argv[i]);
    memcpy(at, &value, 4);
    memcpy(at + 4, argv[i], value + 1);
    at += 5 + value;
  }
  reply->length += need;
}

bool reply_send(int fd, struct reply *reply) {
  uint32_t length = (uint32_t)reply->length;
  char head[4];
  memcpy(head, &length, 4);
  return write_all(fd, head, 4) && write_all(fd, reply->bytes, reply->length);
}
