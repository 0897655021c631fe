/* The control sockets of running engines: where they lie, and asking at one. */
#ifndef HAREWIRE_COMMAND_ENGINE_SOCKET_H
#define HAREWIRE_COMMAND_ENGINE_SOCKET_H

#include <stddef.h>
#include <sys/un.h>

#define ENGINE_SOCKET_MAX sizeof(((struct sockaddr_un *)0)->sun_path)

struct json_object;

/*
 * The usual place of this process's socket, in a directory that is made if it is not there; NULL: there is none that is
 * ours alone to write to, and so no socket.
 */
const char *engine_socket_own(char *path, size_t bytes);

/*
 * Connects to the socket that `name` means: a path, a process id, or NULL: the one engine that answers in the usual
 * place. A descriptor, or HW_ERR_* and a sentence in `why`.
 */
int engine_socket_connect(const char *name, char *why, size_t why_bytes);

/* Asks and waits for the answer. 0, or HW_ERR_* and a sentence, the engine's own if it refuses. */
int engine_socket_ask(int fd, struct json_object *request, struct json_object **answer, char *why, size_t why_bytes);

/* Removes the sockets PID.sock of processes that are no more: killed, they could not. */
void engine_socket_sweep(const char *directory);

#endif
