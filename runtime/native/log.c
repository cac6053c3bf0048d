// The container's log in CRI format: `<RFC3339, nanoseconds> stdout|stderr F|P <content>`, P for a part of a line that
// is longer than 16 KiB. When the disk refuses, lines are lost and the container goes on.
#include "launcher.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE 16384

struct line {
  size_t length;
  char bytes[LINE];
};
struct log {
  int fd;
  const char *path;
  struct line lines[2];  // stdout, stderr: what has no newline yet
  size_t pending;
  char buffer[65536];
};

int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

struct log *log_open(const char *path) {
  struct log *log = calloc(1, sizeof *log);
  if (!log) return NULL;
  log->fd = -1;
  log->path = path;
  if (log_reopen(log) == 0) return log;
  int error = errno;
  free(log);
  errno = error;
  return NULL;
}

int log_reopen(struct log *log) {
  int fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) return -1;
  if (log->fd >= 0) close(log->fd);
  log->fd = fd;
  return 0;
}

static void write_out(struct log *log) {
  write_all(log->fd, log->buffer, log->pending);
  log->pending = 0;
}

static void put(struct log *log, const char *bytes, size_t length) {
  if (log->pending + length > sizeof log->buffer) write_out(log);
  memcpy(log->buffer + log->pending, bytes, length);
  log->pending += length;
}

static void emit(struct log *log, int stream, char tag, const char *bytes, size_t length) {
  struct timespec now;
  struct tm parts;
  char head[80], date[32];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &parts);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  int size = snprintf(head, sizeof head, "%s.%09ldZ %s %c ", date, now.tv_nsec, stream == 0 ? "stdout" : "stderr", tag);
  // A record is written in one piece, so that a reader never sees half of one unless the disk is full.
  if (log->pending + (size_t)size + length + 1 > sizeof log->buffer) write_out(log);
  put(log, head, (size_t)size);
  put(log, bytes, length);
  put(log, "\n", 1);
}

void log_write(struct log *log, int stream, const char *bytes, size_t length) {
  struct line *line = &log->lines[stream];
  while (length > 0) {
    const char *newline = memchr(bytes, '\n', length);
    size_t part = newline ? (size_t)(newline - bytes) : length;
    size_t room = LINE - line->length;
    if (part > room) {
      memcpy(line->bytes + line->length, bytes, room);
      emit(log, stream, 'P', line->bytes, LINE);
      line->length = 0;
      bytes += room;
      length -= room;
      continue;
    }
    if (newline && line->length == 0) {
      emit(log, stream, 'F', bytes, part);
    } else {
      memcpy(line->bytes + line->length, bytes, part);
      line->length += part;
      if (newline) {
        emit(log, stream, 'F', line->bytes, line->length);
        line->length = 0;
      }
    }
    bytes += part;
    length -= part;
    if (newline) bytes++, length--;
  }
  write_out(log);
}

// The end of the streams: what has no newline becomes a last line.
void log_flush(struct log *log) {
  for (int stream = 0; stream < 2; stream++) {
    struct line *line = &log->lines[stream];
    if (line->length > 0) emit(log, stream, 'F', line->bytes, line->length);
    line->length = 0;
  }
  write_out(log);
}
