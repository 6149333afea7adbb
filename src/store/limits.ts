/**
 * Limits of store/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB } from '../base/limits.ts'

/**
 * The index takes at most this share of capacity: scattered blocks have a record each. Eviction starts at the high and
 * stops at the low share of that budget; the rest is for pages that are free only after the next transaction.
 */
export const indexShareMax = 0.02

/**
 * The bytes that a small write to the index may take beyond its value until the disk is measured: a new page on each
 * level of a tree (three hold a million names), and one in the list of free pages.
 */
export const indexWriteBytes = 4 * 4 * KiB
