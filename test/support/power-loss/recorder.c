/*
 * LD_PRELOAD recorder: writes every call that changes files below RECORD_ROOT to the log RECORD_LOG, in the order in
 * which they took effect. A write is logged before it is made (a power cut may leave part of it) and once more when it
 * returned; a sync covers only writes that had returned when it began.
 *
 * Entry, little-endian: u32 kind, u32 path bytes, u32 second path bytes, u32 data bytes, u64 a, u64 b; then path, second
 * path, data. Kinds: see replayed-tree.ts.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, WRITE_END, SYNC_BEGIN, SYNC_END, TRUNCATE, RENAME, UNLINK, MKDIR, RMDIR, WRITE_ZEROS };

#define FDS 65536
static unsigned char tracked[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *root;
static size_t root_length;
static uint64_t next_id = 1;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
  root = getenv("RECORD_ROOT");
  const char *log_path = getenv("RECORD_LOG");
  if (root == NULL || log_path == NULL) return;
  root_length = strlen(root);
  log_fd = REAL(open64)(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int below_root(const char *path) {
  return log_fd >= 0 && root != NULL && strncmp(path, root, root_length) == 0 && path[root_length] == '/';
}

static int is_tracked(int fd) { return fd >= 0 && fd < FDS && tracked[fd] && log_fd >= 0; }

/* With the lock held. Ends the process when the log cannot be written: a hole in it would prove nothing. */
static void append(uint32_t kind, const char *path, const char *second, const void *data, size_t size, uint64_t a, uint64_t b) {
  uint32_t path_size = path ? strlen(path) : 0, second_size = second ? strlen(second) : 0;
  struct { uint32_t kind, path, second, data; uint64_t a, b; } head = {kind, path_size, second_size, (uint32_t)size, a, b};
  struct iovec parts[4] = {
      {&head, sizeof head}, {(void *)path, path_size}, {(void *)second, second_size}, {(void *)data, size}};
  ssize_t total = sizeof head + path_size + second_size + size;
  ssize_t (*real_writev)(int, const struct iovec *, int) = real("writev");
  if (real_writev(log_fd, parts, 4) != total) { dprintf(2, "recorder: the log is full\n"); _exit(97); }
}

static void log_entry(uint32_t kind, const char *path, const char *second, uint64_t a, uint64_t b) {
  int saved = errno;
  pthread_mutex_lock(&lock);
  append(kind, path, second, NULL, 0, a, b);
  pthread_mutex_unlock(&lock);
  errno = saved;
}

static uint64_t inode_of(int fd) {
  struct stat facts;
  return fstat(fd, &facts) == 0 ? facts.st_ino : 0;
}

static int is_plain(int fd) {
  struct stat facts;
  return is_tracked(fd) && fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
}

static uint64_t log_write(int fd, const struct iovec *parts, int count, uint64_t offset) {
  static const char zeros[4096];
  size_t size = 0;
  for (int i = 0; i < count; i++) size += parts[i].iov_len;
  char *joined = malloc(size ? size : 1);
  size_t at = 0;
  for (int i = 0; i < count; i++) { memcpy(joined + at, parts[i].iov_base, parts[i].iov_len); at += parts[i].iov_len; }
  int is_zero = 1;
  for (size_t i = 0; i < size && is_zero; i += sizeof zeros) {
    is_zero = memcmp(joined + i, zeros, size - i < sizeof zeros ? size - i : sizeof zeros) == 0;
  }
  char text[32];
  pthread_mutex_lock(&lock);
  uint64_t id = next_id++;
  snprintf(text, sizeof text, "%llu", (unsigned long long)id);
  if (is_zero) {
    char length[32];
    snprintf(length, sizeof length, "%zu", size);
    append(WRITE_ZEROS, text, length, NULL, 0, inode_of(fd), offset);
  } else {
    append(WRITE, text, NULL, joined, size, inode_of(fd), offset);
  }
  pthread_mutex_unlock(&lock);
  free(joined);
  return id;
}

static void log_write_end(int fd, uint64_t id, ssize_t written, size_t wanted) {
  int saved = errno;
  if (written != (ssize_t)wanted) { dprintf(2, "recorder: a short write is not modelled\n"); _exit(98); }
  int flags = fcntl(fd, F_GETFL);
  log_entry(WRITE_END, NULL, NULL, id, (flags & O_DSYNC) != 0);
  errno = saved;
}

static int opened(const char *path, int fd) {
  if (fd < 0 || fd >= FDS) return fd;
  tracked[fd] = below_root(path);
  struct stat facts;
  if (tracked[fd] && fstat(fd, &facts) == 0) {
    /* b: the length it has now, so that O_TRUNC and an existing file are told apart from what was known. */
    log_entry(OPEN, path, S_ISDIR(facts.st_mode) ? "d" : "f", facts.st_ino, facts.st_size);
  }
  return fd;
}

int open64(const char *path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  int mode = va_arg(list, int);
  va_end(list);
  return opened(path, REAL(open64)(path, flags, mode));
}

int open(const char *path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  int mode = va_arg(list, int);
  va_end(list);
  return opened(path, REAL(open)(path, flags, mode));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  if (!is_plain(fd)) return REAL(pwrite64)(fd, data, size, offset);
  struct iovec part = {(void *)data, size};
  uint64_t id = log_write(fd, &part, 1, offset);
  ssize_t written = REAL(pwrite64)(fd, data, size, offset);
  log_write_end(fd, id, written, size);
  return written;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  if (!is_plain(fd)) return REAL(pwritev64)(fd, parts, count, offset);
  size_t size = 0;
  for (int i = 0; i < count; i++) size += parts[i].iov_len;
  uint64_t id = log_write(fd, parts, count, offset);
  ssize_t written = REAL(pwritev64)(fd, parts, count, offset);
  log_write_end(fd, id, written, size);
  return written;
}

static uint64_t append_offset(int fd) {
  struct stat facts;
  if (fcntl(fd, F_GETFL) & O_APPEND) return fstat(fd, &facts) == 0 ? facts.st_size : 0;
  return lseek64(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *data, size_t size) {
  if (!is_plain(fd)) return REAL(write)(fd, data, size);
  struct iovec part = {(void *)data, size};
  uint64_t id = log_write(fd, &part, 1, append_offset(fd));
  ssize_t written = REAL(write)(fd, data, size);
  log_write_end(fd, id, written, size);
  return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  if (!is_plain(fd)) return REAL(writev)(fd, parts, count);
  size_t size = 0;
  for (int i = 0; i < count; i++) size += parts[i].iov_len;
  uint64_t id = log_write(fd, parts, count, append_offset(fd));
  ssize_t written = REAL(writev)(fd, parts, count);
  log_write_end(fd, id, written, size);
  return written;
}

static int sync_with(int (*call)(int), int fd) {
  if (!is_tracked(fd)) return call(fd);
  pthread_mutex_lock(&lock);
  uint64_t id = next_id++;
  append(SYNC_BEGIN, NULL, NULL, NULL, 0, inode_of(fd), id);
  pthread_mutex_unlock(&lock);
  int result = call(fd);
  if (result == 0) log_entry(SYNC_END, NULL, NULL, id, 0);
  return result;
}

int fsync(int fd) { return sync_with(REAL(fsync), fd); }
int fdatasync(int fd) { return sync_with(REAL(fdatasync), fd); }

int ftruncate64(int fd, off64_t length) {
  int result = REAL(ftruncate64)(fd, length);
  if (result == 0 && is_plain(fd)) log_entry(TRUNCATE, NULL, NULL, inode_of(fd), length);
  return result;
}

int rename(const char *from, const char *to) {
  int result = REAL(rename)(from, to);
  if (result == 0 && below_root(from)) log_entry(RENAME, from, to, 0, 0);
  return result;
}

int unlink(const char *path) {
  int result = REAL(unlink)(path);
  if (result == 0 && below_root(path)) log_entry(UNLINK, path, NULL, 0, 0);
  return result;
}

int mkdir(const char *path, mode_t mode) {
  int result = REAL(mkdir)(path, mode);
  struct stat facts;
  if (result == 0 && below_root(path) && stat(path, &facts) == 0) log_entry(MKDIR, path, NULL, facts.st_ino, 0);
  return result;
}

int rmdir(const char *path) {
  int result = REAL(rmdir)(path);
  if (result == 0 && below_root(path)) log_entry(RMDIR, path, NULL, 0, 0);
  return result;
}
