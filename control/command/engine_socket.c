#define _GNU_SOURCE
#include "control/command/engine_socket.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "dataplane/base/error.h"

#define SUFFIX       ".sock"
#define ANSWER_MAX   (64u << 20)
#define ANSWER_FIRST 65536u

static bool is_socket_name(const char *name)
{
	size_t len = strlen(name), suffix = strlen(SUFFIX);
	return len > suffix && strcmp(name + len - suffix, SUFFIX) == 0;
}

/* A descriptor or -1. */
static int try_path(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* ---- what killed processes leave ---- */

/* Named after a process that is no more. One that is has perhaps not come to listen yet. */
static bool is_left_behind(const char *path, const char *name)
{
	struct stat st;
	char *end;
	long pid = strtol(name, &end, 10);
	return pid > 0 && pid <= INT_MAX && strcmp(end, SUFFIX) == 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH &&
	       lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Opens what answers there; what nobody can answer any more is removed. A descriptor or -1. */
static int try_or_remove(const char *path, const char *name)
{
	int fd = try_path(path);
	if (fd < 0 && errno == ECONNREFUSED && is_left_behind(path, name))
		unlink(path);
	return fd;
}

void engine_socket_sweep(const char *directory)
{
	char path[ENGINE_SOCKET_MAX];
	DIR *d = opendir(directory);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (!is_socket_name(e->d_name) ||
		    (size_t)snprintf(path, sizeof path, "%s/%s", directory, e->d_name) >= sizeof path)
			continue;
		int fd = try_or_remove(path, e->d_name);
		if (fd >= 0)
			close(fd);
	}
	if (d)
		closedir(d);
}

/* ---- the usual place ---- */

static const char *usual_directory(char *path, size_t bytes)
{
	const char *runtime = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
	if (!runtime || *runtime != '/' || (size_t)snprintf(path, bytes, "%s/harewire", runtime) >= bytes)
		return NULL;
	return path;
}

const char *engine_socket_own(char *path, size_t bytes)
{
	char directory[ENGINE_SOCKET_MAX];
	struct stat st;
	if (!usual_directory(directory, sizeof directory) || (mkdir(directory, 0755) && errno != EEXIST))
		return NULL;
	if (lstat(directory, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 022 ||
	    access(directory, W_OK | X_OK))
		return NULL;
	if ((size_t)snprintf(path, bytes, "%s/%d" SUFFIX, directory, (int)getpid()) >= bytes)
		return NULL;
	engine_socket_sweep(directory);
	return path;
}

/* ---- finding one ---- */

static int connect_path(const char *path, char *why, size_t why_bytes)
{
	int fd = try_path(path);
	if (fd >= 0)
		return fd;
	snprintf(why, why_bytes, "no engine answers at %.200s: %s", path, strerror(errno));
	return HW_ERR_SYSTEM;
}

/* Those that answer, by their process ids, in `names`; the first one's descriptor in *fd. Returns how many. */
static uint32_t find_all(const char *directory, int *fd, char *names, size_t names_bytes)
{
	char path[ENGINE_SOCKET_MAX];
	uint32_t found = 0;
	size_t len = 0;
	DIR *d = opendir(directory);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (!is_socket_name(e->d_name) ||
		    (size_t)snprintf(path, sizeof path, "%s/%s", directory, e->d_name) >= sizeof path)
			continue;
		int one = try_or_remove(path, e->d_name);
		if (one < 0)
			continue;
		if (found++ == 0)
			*fd = one;
		else
			close(one);
		if (len < names_bytes)
			len += (size_t)snprintf(names + len, names_bytes - len, "%s%.*s", len ? ", " : "",
						(int)(strlen(e->d_name) - strlen(SUFFIX)), e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

static int connect_only(char *why, size_t why_bytes)
{
	char directory[ENGINE_SOCKET_MAX], names[256] = "";
	int fd = -1;
	const char *usual = usual_directory(directory, sizeof directory);
	uint32_t found = usual ? find_all(usual, &fd, names, sizeof names) : 0;
	if (found == 1)
		return fd;
	if (found > 1) {
		close(fd);
		snprintf(why, why_bytes, "several engines run here: say which one, by its process id: %s", names);
	} else {
		snprintf(why, why_bytes, "no engine of yours answers in %s: name its socket or process id",
			 usual ? usual : "$XDG_RUNTIME_DIR/harewire");
	}
	return HW_ERR_INVALID;
}

int engine_socket_connect(const char *name, char *why, size_t why_bytes)
{
	char path[ENGINE_SOCKET_MAX], directory[ENGINE_SOCKET_MAX];
	if (!name)
		return connect_only(why, why_bytes);
	if (strspn(name, "0123456789") != strlen(name))
		return connect_path(name, why, why_bytes);
	if (!usual_directory(directory, sizeof directory) ||
	    (size_t)snprintf(path, sizeof path, "%s/%s" SUFFIX, directory, name) >= sizeof path) {
		snprintf(why, why_bytes, "there is no usual place for sockets here: name the socket");
		return HW_ERR_INVALID;
	}
	return connect_path(path, why, why_bytes);
}

/* ---- asking ---- */

static bool send_line(int fd, const char *line)
{
	size_t len = strlen(line), sent = 0;
	while (sent < len) {
		ssize_t n = send(fd, line + sent, len - sent, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return false;
		sent += n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* Without its newline; NULL: errno, or 0 for its end. The caller frees it. */
static char *receive_line(int fd)
{
	size_t cap = ANSWER_FIRST, len = 0;
	char *line = malloc(cap);
	while (line) {
		if (len == cap) {
			char *grown = cap < ANSWER_MAX ? realloc(line, 2 * cap) : NULL;
			if (!grown)
				break;
			line = grown;
			cap *= 2;
		}
		errno = 0;
		ssize_t n = recv(fd, line + len, cap - len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (line[len - 1] == '\n') {
			line[len - 1] = '\0';
			return line;
		}
	}
	free(line);
	return NULL;
}

static int judge(struct json_object *answer, char *why, size_t why_bytes)
{
	struct json_object *ok, *error;
	if (json_object_object_get_ex(answer, "ok", &ok) && json_object_get_boolean(ok))
		return 0;
	snprintf(why, why_bytes, "%s",
		 json_object_object_get_ex(answer, "error", &error) ? json_object_get_string(error)
								    : "the engine's answer is none");
	return HW_ERR_INVALID;
}

int engine_socket_ask(int fd, struct json_object *request, struct json_object **out, char *why, size_t why_bytes)
{
	const char *text = request ? json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN) : NULL;
	*out = NULL;
	if (!text) {
		snprintf(why, why_bytes, "out of memory");
		return HW_ERR_NOMEM;
	}
	char *line = send_line(fd, text) && send_line(fd, "\n") ? receive_line(fd) : NULL;
	if (!line) {
		snprintf(why, why_bytes, "the engine has gone");
		return HW_ERR_CLOSED;
	}
	struct json_object *answer = json_tokener_parse(line);
	free(line);
	int err = judge(answer, why, why_bytes);
	if (err) {
		json_object_put(answer);
		return err;
	}
	*out = answer;
	return 0;
}
