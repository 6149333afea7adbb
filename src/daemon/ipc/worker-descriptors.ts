/**
 * Descriptors that a worker inherits from its supervisor, by number.
 */
/** The descriptor under which the worker finds its end of the socket pair. */
export const workerSocketFd = 3

/** And the one under which it finds the socket for messages. */
export const workerChannelFd = 4

/** And the file in which it notes what it works on. */
export const workerJournalFd = 5
