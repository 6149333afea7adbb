/**
 * Limits of origin/file/: each with its unit last and the reason or the sum that led to it.
 */

/** Tick of a file's times: twice a tick of the slowest kernel, 100 a second. Source: Linux kernel/Kconfig.hz. */
export const fileTickMs = 20

/**
 * Tick of a file whose time has whole seconds: those of FAT are even ones. Source: Linux
 * Documentation/filesystems/vfat.rst; fs/fat/misc.c.
 */
export const wholeSecondsTickMs = 2_000
