/* A password in a file of its own, so that it can be changed while connections come and go. */
#ifndef HAREWIRE_SESSION_PASSWORD_FILE_H
#define HAREWIRE_SESSION_PASSWORD_FILE_H

#include <stddef.h>

/*
 * Reads the first line of `path`, without its end, into `password`. The file must be a regular one, and nobody but its
 * owner may have access to it (0600 or less). In $CREDENTIALS_DIRECTORY, which is its service's alone, its group may
 * read it: systemd grants that service its access by an ACL, and the mode shows the ACL's mask there. 0; or
 * HW_ERR_SYSTEM (it cannot be read) or HW_ERR_INVALID with a sentence that names the file, and an empty password. May
 * block as files do. Any thread.
 */
int password_file_read(const char *path, char *password, size_t password_bytes, char *why, size_t why_bytes);

#endif
