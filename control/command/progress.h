/* The live line of a run, on standard error: on a terminal it stays in place, with --progress it is a line a second. */
#ifndef HAREWIRE_COMMAND_PROGRESS_H
#define HAREWIRE_COMMAND_PROGRESS_H

struct run;

/* Shows how the run stands, if it is time to. */
void progress_show(struct run *run);
/* Ends the line that stays in place. */
void progress_end(struct run *run);

#endif
