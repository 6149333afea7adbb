/**
 * The limits of what web servers answer, and of versions that follow each other quickly there and in directories, as src/limits.ts has all
 * others.
 */

/**
 * How long two versions may have the same time, and so the same validator. HTTP's dates have whole seconds, and who says the date need not
 * have the clock that the time of modification is from: two. Source: RFC 9110 8.8.2.2.
 */
export const httpTickMs = 2_000
/** That of a file: twice a tick of the slowest kernel, 100 a second. Source: Linux kernel/Kconfig.hz. */
export const fileTickMs = 20
/** That of a file whose time has whole seconds: those of FAT are even ones. Source: Linux Documentation/filesystems/vfat.rst; fs/fat/misc.c. */
export const wholeSecondsTickMs = 2_000
/** Looks at an image that is replaced again and again, a tick apart, until its lookup fails. */
export const youngLooksMax = 4
/** Names whose versions are known to stay though they are said to be young: a kilobyte each at most. */
export const youngNamesMax = 1_024
/**
 * Answers before an answer (1xx), and bytes of them together: a server sends one or two, of some hundred bytes. Must be what
 * native-bindings/receive/receiver.h says. Source: RFC 9110 15.2.
 */
export const informationsMax = 8
export const informationBytesMax = 16 * 1024
