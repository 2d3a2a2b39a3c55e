/* help.h - what closerace-backend --help says. */
#ifndef BACKEND_HELP_H
#define BACKEND_HELP_H

void help_print(void); /* on stdout */

#endif
