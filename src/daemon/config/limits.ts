/**
 * Limits of daemon/config/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB, MiB } from '../../base/limits.ts'

/** Block size: the default, and what is accepted (a power of two). 64 KiB makes an object 4 MiB. */
export const blockBytesDefault = 64 * KiB

export const blockBytesMin = 4 * KiB

export const blockBytesMax = 1 * MiB

/** Capacity when none is given. */
export const capacityBytesDefault = 10 * 1024 * MiB

/** At least this many objects fit, or the configuration is refused: below it, eviction would chase its own tail. */
export const capacityObjectsMin = 32

/** Threads that read /dev/fuse: four answered more requests a second than two or sixteen on two cores. */
export const sessionThreads = 4

/** Threads that wait for the disk. */
export const storeThreads = 16

/** The time for which an origin's answer about names counts as fresh. */
export const revalidateSecondsDefault = 60

/** Origins of one mount: their connections together stay below what a process may open by default. */
export const originsMax = 64

export const secretCommandRefreshMsDefault = 300_000

/** The least that may be set, so that a small cache is not read without a pause. */
export const scrubIntervalMsMin = 10_000

/** Longest configuration file: a thousand bytes for each of as many origins as there may be. */
export const configurationBytesMax = 64 * KiB

/** Levels of nesting in it: four are used. */
export const configurationDepthMax = 16

/** A worker that has served this long before it dies was well: the deaths before it do not count any more. */
export const workerStableMsDefault = 60_000

/** Workers that may die one after the other of themselves, none of which was well: then they pass the cache by. */
export const workerCrashLimitDefault = 5

/**
 * Lines of the log that wait for a slow reader, in bytes: some thousand lines, and little memory behind a pipe without
 * a reader.
 */
export const logQueueBytesMax = 1024 * 1024

/**
 * The time that a process gives its queued lines at exit: a healthy disk needs far less, and a sick one is not worth
 * the wait.
 */
export const logFlushMsMax = 500

/** Longest path. Source: Linux include/uapi/linux/limits.h, PATH_MAX is 4096 with the NUL. */
export const pathBytesMax = 4095

/** Patterns of names, and the length of one: far more than are written by hand, and matched at once. */
export const patternsMax = 256

export const patternLengthMax = 256

/** Members of a group: from there on ranks take long, and one group is one domain of trust. */
export const fleetMembersMax = 1000

/** Names of the page's host: an address, a name or two, and those of proxies. */
export const webHostsMax = 16

/** Further locations of one origin: each is compared and measured for each image that is read. */
export const locationsMax = 16

/** The least characters of `web.token`: as 96 random bits have in base64. */
export const webTokenCharsMin = 16

/** Librbd's own socket, where immutable_object_cache_sock is not set. Source: Ceph src/common/options/rbd.yaml.in. */
export const librbdSocketDefault = '/var/run/ceph/immutable_object_cache_sock'

/** Longest path of a socket. Source: unix(7), sun_path is 108 with the NUL. */
export const librbdSocketBytesMax = 107

/** Longest path of the object view: its objects' paths have 17 bytes more, and fit into an answer of 512. */
export const librbdDirectoryBytesMax = 400
